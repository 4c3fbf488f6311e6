//! The steps of a bake from source: build the appliance and the images of the control plane, freeze a store with all
//! images, create a cluster in it.

use super::context::Context;
use super::error::Error;
use super::options::{Baked, Options};
use super::step::{self, Step};
use super::{addon_build, check, cluster, components, images};
use crate::checkout::Checkout;
use crate::engine::Engine;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::versions;

const STEPS: [Step; 7] = [
    Step::always("inputs", check::check_inputs),
    Step::always("base image", components::ensure_base),
    Step::always("components", components::build),
    Step::for_addons("add-ons", addon_build::build),
    Step::always("images", images::bake_images),
    Step::always("cluster", cluster::bake_cluster),
    Step::always("tags", cluster::tag),
];

/// Bakes from the checkout that the current directory is in.
pub(super) fn bake(engine: &Engine, settings: &Settings, options: Options, printer: &Printer) -> Result<Baked, Error> {
    let checkout = Checkout::find()?;
    versions::check(&checkout, &settings.cluster.kubernetes_version)?;
    let context = Context::new(engine, settings, options, Some(checkout.clone()), checkout)?;
    step::run(&STEPS, context, printer)
}
