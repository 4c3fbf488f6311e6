//! What was measured, for people and for programs: tables and one JSON document. Pure: sums up and renders, measures
//! nothing, and prints nothing.

use std::collections::BTreeMap;

use kubake_init::usage::Usage;
use serde::Serialize;

use super::run::Measured;
use super::statistics::{Summary, median_index};
use super::timeline::Timeline;
use crate::engine::{EngineFacts, Flavour, Location};

/// Programs that used less in every image are summed up with what has no name.
const LEAST_PROCESSOR_SECONDS: f64 = 0.02;
/// The name of processor time that no living program used, or too little to be named.
const THE_REST: &str = "ended, or too little";

/// Everything that `kubake bench` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began (RFC 3339).
    pub date: String,
    /// What it ran on.
    pub machine: Machine,
    /// What was done.
    pub plan: Plan,
    /// What was found, by image in the order in which they were named.
    pub images: Vec<Measurements>,
    /// Clusters that booted at once; none where that was not asked for.
    pub parallel: Option<Parallel>,
}

/// The machine, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors.
    pub cores: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// The architecture.
    pub architecture: String,
    /// The distribution.
    pub operating_system: String,
    /// The kernel's release.
    pub kernel: String,
    /// Such as `docker 28.2.2`.
    pub engine: String,
    /// 1 or 2; 0 where the engine does not say.
    pub cgroup_version: u8,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// Such as `overlay2`.
    pub storage_driver: String,
    /// The file system under it; empty where the engine does not say.
    pub backing_filesystem: String,
    /// How many processes wanted to run in the minute before; none where the engine runs on another kernel.
    pub load_before: Option<f64>,
}

impl Machine {
    /// From what the engine says.
    #[must_use]
    pub fn new(facts: &EngineFacts, load: f64) -> Self {
        let flavour = match facts.flavour {
            Flavour::Docker => "docker",
            Flavour::Podman => "podman",
        };
        Self {
            cores: facts.cpus,
            memory_bytes: facts.memory,
            architecture: facts.arch.clone(),
            operating_system: facts.operating_system.clone(),
            kernel: facts.kernel.clone(),
            engine: format!("{flavour} {}", facts.version),
            cgroup_version: facts.cgroup_version,
            cgroup_driver: facts.cgroup_driver.clone(),
            storage_driver: facts.storage_driver.clone(),
            backing_filesystem: facts.backing_filesystem.clone(),
            load_before: (facts.location == Location::Here).then_some(load),
        }
    }

    fn line(&self) -> String {
        let filesystem =
            if self.backing_filesystem.is_empty() { String::new() } else { format!(" on {}", self.backing_filesystem) };
        let load = self.load_before.map(|load| format!(", load {load:.1} before")).unwrap_or_default();
        format!(
            "{} cores, {} memory, kernel {}, {}, cgroup v{}, {}{filesystem}{load}",
            self.cores,
            Unit::Bytes.text(Bytes(self.memory_bytes).into()),
            self.kernel,
            self.engine,
            self.cgroup_version,
            self.storage_driver,
        )
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Runs of each image.
    pub runs: usize,
    /// How long each idle cluster was watched.
    pub idle_seconds: u64,
    /// Whether each was started once more after its stop.
    pub restart: bool,
}

/// What was found of one image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measurements {
    /// The name it was asked for by.
    pub image: String,
    /// Its id.
    pub id: String,
    /// Its bytes, unpacked, as the engine counts them.
    pub size_bytes: u64,
    /// Each run.
    pub runs: Vec<Measured>,
    /// All runs together, by measure.
    pub summaries: BTreeMap<&'static str, Summary>,
    /// Processor seconds until ready, by program; over the runs in which it was alive then.
    pub programs: BTreeMap<String, Summary>,
    /// How long each phase took, in seconds.
    pub phases: BTreeMap<String, Summary>,
    /// When each milestone was seen, in seconds on the container's clock.
    pub milestones: BTreeMap<String, Summary>,
    /// Medians as multiples of the first image's, for the main measures; empty for the first.
    pub ratios: BTreeMap<&'static str, f64>,
}

impl Measurements {
    /// Sums up runs; ratios come later ([`compare`]).
    #[must_use]
    pub fn new(image: String, id: String, size_bytes: u64, runs: Vec<Measured>) -> Self {
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

    /// The boot of the run whose time to ready is the median.
    #[must_use]
    pub fn timeline(&self) -> Option<Timeline> {
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

    /// Processor time that is not in `shown`, one figure a run.
    fn rest(&self, shown: &[&String]) -> Option<Summary> {
        let rest = |usage: &Usage| {
            let named = usage.programs.iter().filter(|program| shown.contains(&&program.name));
            // The two come from different clocks of the kernel, so nothing may seem to be less than nothing.
            (usage.cpu_seconds - named.map(|program| program.cpu_seconds).sum::<f64>()).max(0.0)
        };
        let values: Vec<f64> = self.runs.iter().filter_map(|run| run.usage_at_ready.as_ref()).map(rest).collect();
        Summary::of(&values)
    }
}

/// Clusters of one image that booted at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parallel {
    /// The image.
    pub image: String,
    /// How many.
    pub clusters: usize,
    /// From the common start until each was ready, the first to be ready first.
    pub ready_seconds: Vec<f64>,
    /// From the common start until all were.
    pub all_ready_seconds: f64,
}

/// Puts each image beside the first.
pub fn compare(images: &mut [Measurements]) {
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

/// Something that is measured in each run.
struct Measure {
    /// In JSON, where the unit is part of the name.
    key: &'static str,
    /// For people.
    name: &'static str,
    unit: Unit,
    /// Whether images are compared by it.
    main: bool,
    value: fn(&Measured) -> Option<f64>,
}

const MEASURES: [Measure; 13] = [
    Measure {
        key: "readySeconds",
        name: "docker run to ready",
        unit: Unit::Seconds,
        main: true,
        value: |run| Some(run.ready_seconds),
    },
    Measure {
        key: "readyAfterSeconds",
        name: "  by the container's clock",
        unit: Unit::Seconds,
        main: false,
        value: |run| run.ready_after_ms.map(|millis| Millis(millis).into()),
    },
    Measure {
        key: "dockerReadySeconds",
        name: "docker run to Docker ready",
        unit: Unit::Seconds,
        main: false,
        value: |run| Some(run.docker_ready_seconds),
    },
    Measure {
        key: "cpuSecondsAtReady",
        name: "processor time until ready",
        unit: Unit::ProcessorSeconds,
        main: true,
        value: |run| at_ready(run).map(|usage| usage.cpu_seconds),
    },
    Measure {
        key: "memoryBytesAtReady",
        name: "memory at ready",
        unit: Unit::Bytes,
        main: true,
        value: |run| at_ready(run).map(|usage| Bytes(usage.memory_bytes).into()),
    },
    Measure {
        key: "cacheBytesAtReady",
        name: "  page cache beside it",
        unit: Unit::Bytes,
        main: false,
        value: |run| at_ready(run).map(|usage| Bytes(usage.cache_bytes).into()),
    },
    Measure {
        key: "writtenBytesAtReady",
        name: "written until ready",
        unit: Unit::Bytes,
        main: true,
        value: |run| at_ready(run).map(|usage| Bytes(usage.written_bytes).into()),
    },
    Measure {
        key: "idleCpuPerSecond",
        name: "idle: processors in use",
        unit: Unit::Processors,
        main: true,
        value: |run| run.idle.as_ref().map(|idle| idle.cpu_per_second),
    },
    Measure {
        key: "idleMemoryBytes",
        name: "idle: memory at its end",
        unit: Unit::Bytes,
        main: true,
        value: |run| run.idle.as_ref().map(|idle| Bytes(idle.usage_at_end.memory_bytes).into()),
    },
    Measure {
        key: "volumeBytes",
        name: "in volumes (du)",
        unit: Unit::Bytes,
        main: false,
        value: |run| Some(Bytes(run.volume_bytes()).into()),
    },
    Measure {
        key: "layerBytes",
        name: "in the container's layer",
        unit: Unit::Bytes,
        main: false,
        value: |run| run.layer_bytes.map(|bytes| Bytes(bytes).into()),
    },
    Measure {
        key: "stopSeconds",
        name: "docker stop",
        unit: Unit::Seconds,
        main: true,
        value: |run| Some(run.stop_seconds),
    },
    Measure {
        key: "restartReadySeconds",
        name: "docker start to ready",
        unit: Unit::Seconds,
        main: true,
        value: |run| run.restart_ready_seconds,
    },
];

fn at_ready(run: &Measured) -> Option<&Usage> {
    run.usage_at_ready.as_ref()
}

/// How a measure is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    ProcessorSeconds,
    Processors,
    Bytes,
}

impl Unit {
    fn text(self, value: f64) -> String {
        let (number, unit) = self.split(value, value);
        format!("{number} {unit}").trim_end().to_owned()
    }

    /// `6.4 s (5.5–7.8)`; of a single run only the value.
    fn summary(self, summary: &Summary) -> String {
        let text = self.text(summary.median);
        if summary.count < 2 {
            return text;
        }
        let part = |value| self.split(value, summary.median).0;
        format!("{text} ({}–{})", part(summary.minimum), part(summary.maximum))
    }

    /// The number and the unit it is in, which is the one that fits `like`.
    fn split(self, value: f64, like: f64) -> (String, &'static str) {
        match self {
            Self::Seconds if like < 0.1 => (format!("{:.0}", value * 1e3), "ms"),
            Self::Seconds if like < 10.0 => (format!("{value:.2}"), "s"),
            Self::Seconds => (format!("{value:.1}"), "s"),
            Self::ProcessorSeconds => (format!("{value:.2}"), "CPU-s"),
            Self::Processors => (format!("{value:.3}"), ""),
            Self::Bytes if like < 1e6 => (format!("{:.0}", value / 1e3), "kB"),
            Self::Bytes if like < 1e7 => (format!("{:.1}", value / 1e6), "MB"),
            Self::Bytes if like < 1e10 => (format!("{:.0}", value / 1e6), "MB"),
            Self::Bytes => (format!("{:.1}", value / 1e9), "GB"),
        }
    }
}

/// Bytes as a figure that can be averaged; exact up to 8 PB.
struct Bytes(u64);

impl From<Bytes> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "no machine of ours has more than 8 PB")]
    fn from(bytes: Bytes) -> Self {
        bytes.0 as Self
    }
}

/// Milliseconds as seconds.
#[derive(Debug, Clone, Copy)]
struct Millis(u64);

impl From<Millis> for f64 {
    fn from(millis: Millis) -> Self {
        std::time::Duration::from_millis(millis.0).as_secs_f64()
    }
}

/// Something that [`by_name`] can sum up.
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

impl Report {
    /// The tables for people.
    #[must_use]
    pub fn text(&self) -> String {
        let runs = if self.plan.runs == 1 { "one run".to_owned() } else { format!("{} runs", self.plan.runs) };
        let each = if self.images.len() > 1 { " of each image, interleaved" } else { "" };
        let median = if self.plan.runs == 1 { "" } else { "; median (least–greatest)" };
        let mut parts = vec![
            format!("{}\n{runs}{each}{median}", self.machine.line()),
            self.measures(),
            self.programs(),
            self.boots(),
        ];
        if let Some(parallel) = &self.parallel {
            parts.push(parallel.text());
        }
        parts.retain(|part| !part.is_empty());
        parts.join("\n\n")
    }

    fn measures(&self) -> String {
        let mut rows = vec![self.head("", true)];
        let mut sizes = vec!["image, unpacked".to_owned()];
        for (index, image) in self.images.iter().enumerate() {
            sizes.push(Unit::Bytes.text(Bytes(image.size_bytes).into()));
            if index > 0 {
                sizes.push(String::new());
            }
        }
        rows.push(sizes);
        for measure in &MEASURES {
            let mut row = vec![measure.name.to_owned()];
            for (index, image) in self.images.iter().enumerate() {
                row.push(cell(image.summaries.get(measure.key), measure.unit));
                if index > 0 {
                    let ratio = image.ratios.get(measure.key);
                    row.push(ratio.map(|ratio| format!("×{ratio:.2}")).unwrap_or_default());
                }
            }
            // What nobody measured is no row.
            if self.images.iter().any(|image| image.summaries.contains_key(measure.key)) {
                rows.push(row);
            }
        }
        table(&rows)
    }

    fn programs(&self) -> String {
        let mut names: Vec<(&String, f64)> = Vec::new();
        for (name, summary) in self.images.iter().flat_map(|image| &image.programs) {
            match names.iter_mut().find(|(known, _)| *known == name) {
                Some((_, most)) => *most = most.max(summary.median),
                None => names.push((name, summary.median)),
            }
        }
        names.retain(|(_, most)| *most >= LEAST_PROCESSOR_SECONDS);
        names.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        if names.is_empty() {
            return String::new();
        }
        let names: Vec<&String> = names.into_iter().map(|(name, _)| name).collect();
        let mut rows = vec![self.head("processor time until ready", false)];
        for name in &names {
            rows.push(self.row(name, |image| image.programs.get(*name).copied(), Unit::ProcessorSeconds));
        }
        rows.push(self.row(THE_REST, |image| image.rest(&names), Unit::ProcessorSeconds));
        table(&rows)
    }

    fn boots(&self) -> String {
        let runs = || self.images.iter().flat_map(|image| &image.runs);
        let phases = names(runs().flat_map(|run| run.phases.iter().map(|phase| &phase.name)));
        let mut milestones = names(runs().flat_map(|run| run.milestones.iter().map(|milestone| &milestone.name)));
        // By the first image that has it: order differs from boot to boot, and a table needs one.
        let seen =
            |name: &String| self.images.iter().find_map(|image| image.milestones.get(name)).map_or(0.0, |at| at.median);
        milestones.sort_by(|a, b| seen(a).total_cmp(&seen(b)));
        let mut rows = Vec::new();
        if !phases.is_empty() {
            rows.push(self.head("phase: took", false));
            rows.extend(
                phases.iter().map(|name| self.row(name, |image| image.phases.get(*name).copied(), Unit::Seconds)),
            );
        }
        if !milestones.is_empty() {
            rows.push(self.head("milestone: seen at", false));
            let row = |name: &&String| self.row(name, |image| image.milestones.get(*name).copied(), Unit::Seconds);
            rows.extend(milestones.iter().map(row));
        }
        table(&rows)
    }

    fn head(&self, first: &str, ratios: bool) -> Vec<String> {
        let mut head = vec![first.to_owned()];
        for (index, image) in self.images.iter().enumerate() {
            head.push(image.image.clone());
            if ratios && index > 0 {
                head.push("to the first".to_owned());
            }
        }
        head
    }

    fn row(&self, name: &str, of: impl Fn(&Measurements) -> Option<Summary>, unit: Unit) -> Vec<String> {
        let cells = self.images.iter().map(|image| cell(of(image).as_ref(), unit));
        std::iter::once(name.to_owned()).chain(cells).collect()
    }
}

impl Parallel {
    fn text(&self) -> String {
        let each: Vec<String> = self.ready_seconds.iter().map(|seconds| Unit::Seconds.text(*seconds)).collect();
        format!(
            "{} clusters of {} at once: all ready after {} (each: {})",
            self.clusters,
            self.image,
            Unit::Seconds.text(self.all_ready_seconds),
            each.join(", "),
        )
    }
}

fn cell(summary: Option<&Summary>, unit: Unit) -> String {
    summary.map_or_else(|| "–".to_owned(), |summary| unit.summary(summary))
}

/// Each name once, in the order in which they come.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Columns as wide as what stands in them, two spaces between.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use kubake_init::status::{Milestone, Outcome, Phase};
    use kubake_init::usage::ProgramUsage;

    use super::*;
    use crate::bench::run::{Idle, VolumeSize};

    fn usage(cpu_seconds: f64, programs: &[(&str, f64)]) -> Usage {
        let program = |(name, cpu_seconds): &(&str, f64)| ProgramUsage {
            name: (*name).to_owned(),
            processes: 1,
            cpu_seconds: *cpu_seconds,
            ..ProgramUsage::default()
        };
        Usage {
            cpu_seconds,
            memory_bytes: 387_000_000,
            cache_bytes: 12_300_000_000,
            written_bytes: 8_400_000,
            programs: programs.iter().map(program).collect(),
        }
    }

    fn measured(ready_seconds: f64) -> Measured {
        let phase = |name: &str, started_ms, elapsed_ms| Phase {
            name: name.to_owned(),
            started_ms,
            elapsed_ms: Some(elapsed_ms),
            outcome: Outcome::Done,
            detail: None,
        };
        Measured {
            ready_seconds,
            docker_ready_seconds: 2.5,
            ready_after_ms: Some(6000),
            phases: vec![phase("host", 0, 2), phase("kubernetes", 75, 5900)],
            milestones: vec![Milestone { name: "api-ready".to_owned(), at_ms: 3100 }],
            usage_at_ready: Some(usage(6.0, &[("kube-apiserver", 2.5), ("etcd", 0.5), ("pause", 0.01)])),
            idle: Some(Idle { seconds: 30.0, cpu_seconds: 1.5, cpu_per_second: 0.05, usage_at_end: usage(7.5, &[]) }),
            volumes: vec![VolumeSize { path: "/var/lib/containerd".to_owned(), bytes: 421_888 }],
            layer_bytes: Some(1_500_000),
            stop_seconds: 2.7,
            restart_ready_seconds: Some(6.6),
        }
    }

    fn old(ready_seconds: f64) -> Measured {
        Measured {
            usage_at_ready: None,
            idle: None,
            milestones: Vec::new(),
            layer_bytes: None,
            ..measured(ready_seconds)
        }
    }

    fn report(images: Vec<(&str, Vec<Measured>)>, parallel: Option<Parallel>) -> Report {
        let mut images: Vec<Measurements> = images
            .into_iter()
            .map(|(name, runs)| Measurements::new(name.to_owned(), "sha256:1".to_owned(), 1_234_000_000, runs))
            .collect();
        compare(&mut images);
        let facts = EngineFacts {
            version: "28.2.2".to_owned(),
            kernel: "6.18.0".to_owned(),
            cgroup_version: 2,
            storage_driver: "overlay2".to_owned(),
            backing_filesystem: "extfs".to_owned(),
            cpus: 2,
            memory: 24_000_000_000,
            ..EngineFacts::default()
        };
        Report {
            date: "2026-11-24T12:00:00Z".to_owned(),
            machine: Machine::new(&facts, 0.25),
            plan: Plan { runs: images[0].runs.len(), idle_seconds: 30, restart: true },
            images,
            parallel,
        }
    }

    #[test]
    fn tables_of_two_images() {
        let parallel = Parallel {
            image: "kubake:a".to_owned(),
            clusters: 2,
            ready_seconds: vec![11.25, 12.5],
            all_ready_seconds: 12.5,
        };
        let report = report(
            vec![
                ("kubake:a", vec![measured(6.4), measured(5.5), measured(7.8)]),
                ("kubake:older", vec![old(12.8), old(12.0), old(13.0)]),
            ],
            Some(parallel),
        );
        insta::assert_snapshot!(report.text());
    }

    #[test]
    fn tables_of_one_run() {
        insta::assert_snapshot!(report(vec![("kubake:a", vec![measured(6.4)])], None).text());
    }

    #[test]
    fn json_holds_each_run_and_the_summaries() {
        let report = report(vec![("a", vec![measured(6.0), measured(8.0)]), ("b", vec![measured(14.0)])], None);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["images"][0]["runs"][1]["readySeconds"], 8.0);
        assert_eq!(json["images"][0]["summaries"]["readySeconds"]["median"], 7.0);
        assert_eq!(json["images"][0]["programs"]["etcd"]["median"], 0.5);
        assert_eq!(json["images"][0]["ratios"], serde_json::json!({}));
        assert_eq!(json["images"][1]["ratios"]["readySeconds"], 2.0);
        assert_eq!(json["images"][1]["ratios"]["dockerReadySeconds"], serde_json::Value::Null);
        assert_eq!(json["images"][0]["runs"][0]["usageAtReady"]["writtenBytes"], 8_400_000);
        assert_eq!(json["machine"]["engine"], "docker 28.2.2");
    }

    #[test]
    fn the_timeline_is_the_median_runs() {
        let report = report(vec![("a", vec![measured(9.0), measured(6.0), measured(7.0)])], None);
        assert_eq!(report.images[0].timeline().unwrap().title, "a, run 3 of 3");
    }
}
