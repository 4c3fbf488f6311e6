//! Runs the steps of a bake in order and shows each as a phase.

use std::time::Instant;

use super::context::Context;
use super::error::Error;
use super::options::Baked;
use super::tags::further_tags;
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

/// Runs the steps that the settings need.
pub(super) fn run(steps: &[Step], mut context: Context<'_>, printer: &Printer) -> Result<Baked, Error> {
    let started = Instant::now();
    let settings = context.settings;
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
