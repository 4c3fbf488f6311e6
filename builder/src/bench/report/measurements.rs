//! Summaries of the runs of one image, and the comparison of images.

use std::collections::BTreeMap;

use kubake_contract::usage::Usage;
use serde::Serialize;

use super::super::measured::Measured;
use super::super::statistics::{Summary, median_index};
use super::super::timeline::Timeline;
use super::measures::MEASURES;
use super::units::Millis;

/// All runs of one image and their summaries.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measurements {
    /// Name from the command line.
    pub(crate) image: String,
    pub(crate) id: String,
    /// Unpacked size, as the engine reports it.
    pub(crate) size_bytes: u64,
    pub(crate) runs: Vec<Measured>,
    /// Summary of all runs by key of the measure.
    pub(crate) summaries: BTreeMap<&'static str, Summary>,
    /// Processor seconds until ready by program, over the runs in which the program was alive at that time.
    pub(crate) programs: BTreeMap<String, Summary>,
    /// How long each phase took, in seconds.
    pub(crate) phases: BTreeMap<String, Summary>,
    /// When each milestone was observed, in seconds on the clock of the container.
    pub(crate) milestones: BTreeMap<String, Summary>,
    /// Medians of the main measures as multiples of those of the first image; empty for the first.
    pub(crate) ratios: BTreeMap<&'static str, f64>,
}

impl Measurements {
    /// Summarizes runs. [`compare`] adds the ratios.
    #[must_use]
    pub(crate) fn new(image: String, id: String, size_bytes: u64, runs: Vec<Measured>) -> Self {
        let summaries = MEASURES
            .iter()
            .filter_map(|measure| {
                let values: Vec<f64> = runs.iter().filter_map(measure.value).collect();
                Some((measure.key, Summary::of(&values)?))
            })
            .collect();
        let usages = || runs.iter().filter_map(|run| run.usage_at_ready.as_ref());
        let programs = by_name(
            usages().flat_map(|usage| usage.programs.iter().map(|program| (&program.name, program.cpu_seconds))),
        );
        let phases =
            by_name(runs.iter().flat_map(|run| &run.phases).filter_map(|phase| Some((&phase.name, phase.elapsed_ms?))));
        let milestones =
            by_name(runs.iter().flat_map(|run| &run.milestones).map(|milestone| (&milestone.name, milestone.at_ms)));
        Self { image, id, size_bytes, runs, summaries, programs, phases, milestones, ratios: BTreeMap::new() }
    }

    /// The boot of the run with the median time to ready.
    #[must_use]
    pub(crate) fn timeline(&self) -> Option<Timeline> {
        let times: Vec<f64> = self.runs.iter().map(|run| run.ready_seconds).collect();
        let index = median_index(&times)?;
        let run = self.runs.get(index)?;
        Some(Timeline {
            title: format!("{}, run {} of {}", self.image, index + 1, self.runs.len()),
            ready_ms: run.ready_after_ms,
            phases: run.phases.clone(),
            milestones: run.milestones.clone(),
        })
    }

    /// Summary of the processor time that no program in `shown` used.
    pub(super) fn rest(&self, shown: &[&String]) -> Option<Summary> {
        let rest = |usage: &Usage| {
            let named = usage.programs.iter().filter(|program| shown.contains(&&program.name));
            // The two figures come from different clocks of the kernel, so the difference may be negative.
            (usage.cpu_seconds - named.map(|program| program.cpu_seconds).sum::<f64>()).max(0.0)
        };
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.usage_at_ready.as_ref()).map(rest).collect();
        Summary::of(&values)
    }
}

/// Sets the ratios of each image to the first.
pub(crate) fn compare(images: &mut [Measurements]) {
    let Some((first, others)) = images.split_first_mut() else { return };
    for other in others {
        other.ratios = MEASURES
            .iter()
            .filter(|measure| measure.main)
            .filter_map(|measure| {
                let ratio = other.summaries.get(measure.key)?.ratio_to(first.summaries.get(measure.key)?)?;
                Some((measure.key, ratio))
            })
            .collect();
    }
}

/// A figure that [`by_name`] can summarize; whole numbers are milliseconds.
trait Figure {
    fn figure(self) -> f64;
}

impl Figure for f64 {
    fn figure(self) -> f64 {
        self
    }
}

impl Figure for u64 {
    fn figure(self) -> f64 {
        Millis(self).into()
    }
}

fn by_name<'a, F: Figure>(figures: impl Iterator<Item = (&'a String, F)>) -> BTreeMap<String, Summary> {
    let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, figure) in figures {
        values.entry(name.clone()).or_default().push(figure.figure());
    }
    values.into_iter().filter_map(|(name, values)| Some((name, Summary::of(&values)?))).collect()
}
