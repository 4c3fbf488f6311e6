//! Runs the steps of a bake in order and shows each as a phase.

use std::path::PathBuf;
use std::time::Instant;

use super::addons::Addons;
use super::context::Context;
use super::error::Error;
use super::inputs::{Hooks, Images};
use super::options::{Baked, Options};
use super::tags::further_tags;
use crate::checkout::Checkout;
use crate::engine::Engine;
use crate::printer::{Phase, Printer};
use crate::settings::Settings;

/// A step of a bake. `execute` returns a remark for the line that ends the phase.
pub(super) struct Step {
    name: &'static str,
    execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>,
    /// Whether these settings need the step.
    when: fn(&Settings) -> bool,
}

impl Step {
    pub(super) const fn always(
        name: &'static str,
        execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>,
    ) -> Self {
        Self { name, execute, when: |_| true }
    }

    /// A step that only bakes with add-ons need.
    pub(super) const fn for_addons(
        name: &'static str,
        execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>,
    ) -> Self {
        Self { name, execute, when: |settings| !settings.bake.addons.is_empty() }
    }
}

pub(super) fn run(
    steps: &[Step],
    engine: &Engine,
    settings: &Settings,
    options: Options,
    (checkout, user_files): (Option<Checkout>, Checkout),
    printer: &Printer,
) -> Result<Baked, Error> {
    let started = Instant::now();
    // Not below /tmp, which is often in memory: the archives have gigabytes (FHS: /var/tmp is for large files).
    let below = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let directory = tempfile::Builder::new()
        .prefix("kubake-bake-")
        .tempdir_in(&below)
        .map_err(|source| Error::Temporary { path: below, source })?;
    let mut context = Context {
        engine,
        settings,
        options,
        checkout,
        user_files,
        directory,
        images: Images::default(),
        hooks: Hooks::default(),
        addons: Addons::default(),
        base: String::new(),
        appliance: None,
        control_plane: Vec::new(),
        images_name: String::new(),
        images_inputs: String::new(),
        inputs: String::new(),
        baked: None,
        cached: false,
    };
    for step in steps.iter().filter(|step| (step.when)(settings)) {
        let phase = printer.phase(step.name);
        let remark = (step.execute)(&mut context, &phase)?;
        phase.done_with(remark);
    }
    Ok(Baked {
        image: settings.image.clone(),
        tags: further_tags(settings),
        id: context.baked.unwrap_or_default(),
        cached: context.cached,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
