//! A custom image: adds the user's images and workloads to a baked image, as a thin layer. Owns which image may be the base
//! and the inputs of the layer. Needs no source and compiles nothing, except for add-ons.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use kubake_contract::{BakeRequest, ClusterSettings, ImageReference, labels, paths, roles};

use super::bootable::{self, BootableImage};
use super::context::{Context, find_image};
use super::error::{Error, failed_to};
use super::inbox::directory;
use super::options::{Baked, Options};
use super::step::{self, Step};
use super::user_images::{users_images, users_inputs};
use super::{addon_build, check, components};
use crate::checkout::Checkout;
use crate::engine::command::Pull;
use crate::engine::{Engine, Image};
use crate::printer::{Phase, Printer};
use crate::settings::Settings;

const STEPS: [Step; 4] = [
    Step::always("inputs", check::check_inputs),
    Step::for_addons("base image", components::ensure_base),
    Step::for_addons("add-ons", addon_build::build),
    Step::always("custom image", bake_custom),
];

/// Limit for pulling the base, which has almost a gigabyte.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);

/// Bakes on top of the image `from`.
pub(super) fn bake(
    engine: &Engine,
    settings: &Settings,
    from: &str,
    options: Options,
    printer: &Printer,
) -> Result<Baked, Error> {
    let checkout = match settings.bake.addons.as_slice() {
        [] => None,
        names => Some(Checkout::find().map_err(|source| Error::NoSource { addons: names.to_vec(), source })?),
    };
    let phase = printer.phase("baked image");
    let base = find(engine, from, &phase)?;
    let cluster = cluster_of(from, &base)?;
    let different = settings.differences(&cluster);
    if !different.is_empty() {
        return Err(Error::OtherSettings { image: from.to_owned(), different });
    }
    phase.done_with(format_args!("{from}, Kubernetes {}", cluster.kubernetes_version));
    let mut settings = settings.clone();
    settings.cluster = cluster;
    // By id, because the name may move to another image before the bake ends.
    let options = Options { from: Some(base.id), ..options };
    let context = Context::new(engine, &settings, options, checkout, Checkout::here())?;
    step::run(&STEPS, context, printer)
}

fn find(engine: &Engine, from: &str, phase: &Phase) -> Result<Image, Error> {
    if let Some(image) = find_image(engine, from)? {
        return Ok(image);
    }
    let absent = || Error::NotBaked { image: from.to_owned(), what: "does not exist" };
    if !ImageReference::parse(from).is_some_and(|reference| reference.names_registry()) {
        return Err(absent());
    }
    phase.message(format_args!("pulling {from}"));
    let pull = Pull { image: from.to_owned(), timeout: Some(PULL_TIMEOUT) };
    engine.run(&pull).map_err(failed_to(format!("pull `{from}`")))?;
    find_image(engine, from)?.ok_or_else(absent)
}

/// The settings with which the cluster in the base was created.
fn cluster_of(from: &str, base: &Image) -> Result<ClusterSettings, Error> {
    let not_baked = |what| Error::NotBaked { image: from.to_owned(), what };
    if base.labels.get(labels::STAGE).map(String::as_str) != Some(labels::BAKED) {
        return Err(not_baked("was not created by `kubake bake`"));
    }
    let settings = base.labels.get(labels::SETTINGS).and_then(|text| serde_json::from_str(text).ok());
    settings.ok_or_else(|| not_baked("was baked by another version of kubake"))
}

fn bake_custom(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let from = context.options.from.clone().unwrap_or_default();
    let mut parts = vec![from.clone()];
    parts.extend(users_inputs(context, phase)?);
    let before = match bootable::reuse_unchanged(context, parts)? {
        ControlFlow::Break(remark) => return Ok(remark),
        ControlFlow::Continue(before) => before,
    };
    let images = users_images(context, phase)?;
    let had = find_image(context.engine, &from)?.and_then(|image| image.labels.get(labels::ADDONS).cloned());
    let addons = merge_addons(&had.unwrap_or_default(), &context.settings.bake.addons);
    let image = BootableImage {
        from: &from,
        role: roles::BAKE_CUSTOM,
        files: vec![directory(paths::INBOX_IMAGES)],
        archives: images.archives,
        request: BakeRequest {
            names: images.names,
            keeps_packed_layers: context.settings.bake.packed_layers,
            ..BakeRequest::default()
        },
        labels: vec![(labels::FROM, &from)],
        addons: &addons,
        tags: Vec::new(),
        before,
    };
    bootable::build(context, phase, image)
}

/// The value of the add-ons label: those of the base and the added ones, sorted and separated by commas.
fn merge_addons(had: &str, added: &[String]) -> String {
    let all: BTreeSet<&str> =
        had.split(',').chain(added.iter().map(String::as_str)).filter(|name| !name.is_empty()).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_the_addons_it_had() {
        assert_eq!(merge_addons("", &[]), "");
        assert_eq!(
            merge_addons("ingress,metrics-server", &["helm".to_owned(), "ingress".to_owned()]),
            "helm,ingress,metrics-server"
        );
    }

    fn image(stage: &str, settings: &str) -> Image {
        let labels = [(labels::STAGE, stage), (labels::SETTINGS, settings)];
        Image { labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), ..Image::default() }
    }

    #[test]
    fn only_a_baked_image_is_taken_further() {
        let settings = serde_json::to_string(&ClusterSettings::default()).unwrap();
        assert_eq!(cluster_of("a", &image("baked", &settings)).unwrap(), ClusterSettings::default());
        for (stage, settings, text) in [
            ("appliance", settings.as_str(), "`a` was not created by `kubake bake`"),
            ("baked", "{", "`a` was baked by another version of kubake"),
        ] {
            assert_eq!(cluster_of("a", &image(stage, settings)).unwrap_err().to_string(), text);
        }
    }
}
