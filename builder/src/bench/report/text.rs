//! Renders the tables for people.

use super::super::statistics::Summary;
use super::document::{Parallel, Report};
use super::measurements::Measurements;
use super::measures::MEASURES;
use super::units::{Bytes, Unit};

/// Programs that used less than this in every image are summed up in the row [`THE_REST`].
const LEAST_PROCESSOR_SECONDS: f64 = 0.02;
/// Name of the row for programs that have ended or used too little.
const THE_REST: &str = "ended, or too little";

impl Report {
    /// All tables, separated by empty lines.
    #[must_use]
    pub(crate) fn text(&self) -> String {
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
        // containerd's store counts what it keeps: packed layers.
        let sizes_name = if self.machine.counts_packed_images { "image, packed" } else { "image, unpacked" };
        let mut sizes = vec![sizes_name.to_owned()];
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
            // A measure without any value has no row.
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
        // Ordered by the first image that has the milestone: the order differs between boots, and the table has only one.
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

/// Removes duplicates and keeps the order.
fn names<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut names = Vec::new();
    for name in all {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Aligns columns, with two spaces between them.
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
