//! Draws boots as SVG: a lane for each phase and each milestone, over one axis of seconds. Pure: writes no file. The picture
//! refers to nothing outside, and every text in it is escaped.

use std::fmt::{self, Write as _};

use kubake_contract::status::{Milestone, Phase};

/// Width of the picture, of the labels left of the lanes, and of the margin right of them, for figures.
const WIDTH: f64 = 1000.0;
const LABELS: f64 = 310.0;
const MARGIN: f64 = 70.0;
/// Height of a lane, of the bar in it, of the title, and of the axis.
const LANE: f64 = 20.0;
const BAR: f64 = 12.0;
const TITLE: f64 = 44.0;
const AXIS: f64 = 34.0;
/// Limit of lines on an axis, for legibility.
const MOST_TICKS: f64 = 10.0;
/// Longer labels are truncated.
const LONGEST_LABEL: usize = 42;

const STYLE: &str = "text{font-family:sans-serif;font-size:12px;fill:#222}.title{font-size:15px;font-weight:bold}\
    .label{text-anchor:end}.tick{text-anchor:middle;fill:#666}.grid{stroke:#ddd}.phase{fill:#4e79a7}\
    .milestone{fill:#e07b39}.ready{stroke:#2e8b57;stroke-width:2}.readytext{fill:#2e8b57;text-anchor:middle}";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) title: String,
    /// When the cluster was ready, on the clock of phases and milestones.
    pub(crate) ready_ms: Option<u64>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) milestones: Vec<Milestone>,
}

impl Timeline {
    fn lanes(&self) -> usize {
        self.phases.len() + self.milestones.len()
    }

    /// The last instant of the boot.
    fn end_ms(&self) -> u64 {
        let phases = self.phases.iter().map(|phase| phase.started_ms + phase.elapsed_ms.unwrap_or_default());
        let milestones = self.milestones.iter().map(|milestone| milestone.at_ms);
        phases.chain(milestones).chain(self.ready_ms).max().unwrap_or_default()
    }

    fn height(&self) -> f64 {
        TITLE + count(self.lanes()) * LANE + AXIS
    }
}

/// Draws boots below each other on the same scale.
#[must_use]
pub(crate) fn svg(timelines: &[Timeline]) -> String {
    let end = timelines.iter().map(Timeline::end_ms).max().unwrap_or_default().max(1);
    let scale = Scale { end: seconds(end) };
    let height = timelines.iter().map(Timeline::height).sum::<f64>() + LANE;
    let mut picture = String::new();
    // Writing into a `String` cannot fail.
    let _ = draw(&mut picture, timelines, &scale, height);
    picture
}

fn draw(picture: &mut String, timelines: &[Timeline], scale: &Scale, height: f64) -> fmt::Result {
    writeln!(
        picture,
        r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}">"#
    )?;
    writeln!(picture, "<style>{STYLE}</style>")?;
    writeln!(picture, r##"<rect width="{WIDTH}" height="{height}" fill="#fff"/>"##)?;
    let mut top = 0.0;
    for timeline in timelines {
        boot(picture, timeline, scale, top)?;
        top += timeline.height();
    }
    picture.push_str("</svg>\n");
    Ok(())
}

fn boot(picture: &mut String, timeline: &Timeline, scale: &Scale, top: f64) -> fmt::Result {
    writeln!(picture, r#"<text class="title" x="12" y="{:.1}">{}</text>"#, top + 20.0, Escaped(&timeline.title))?;
    let first = top + TITLE;
    let bottom = first + count(timeline.lanes()) * LANE;
    axis(picture, scale, first, bottom)?;
    let mut lane = first;
    for phase in &timeline.phases {
        // A phase that has not ended extends to the last known instant.
        let end = phase.elapsed_ms.map_or_else(|| timeline.end_ms(), |elapsed| phase.started_ms + elapsed);
        let (left, right) = (scale.x(phase.started_ms), scale.x(end));
        label(picture, &phase.name, lane)?;
        writeln!(
            picture,
            r#"<rect class="phase" x="{left:.1}" y="{:.1}" width="{:.1}" height="{BAR}"/>"#,
            lane + (LANE - BAR) / 2.0,
            (right - left).max(1.0),
        )?;
        figure(picture, right + 5.0, lane, seconds(end.saturating_sub(phase.started_ms)))?;
        lane += LANE;
    }
    for milestone in &timeline.milestones {
        let (x, middle) = (scale.x(milestone.at_ms), lane + LANE / 2.0);
        label(picture, &milestone.name, lane)?;
        writeln!(picture, r#"<circle class="milestone" cx="{x:.1}" cy="{middle:.1}" r="4"/>"#)?;
        figure(picture, x + 8.0, lane, seconds(milestone.at_ms))?;
        lane += LANE;
    }
    if let Some(ready) = timeline.ready_ms {
        let x = scale.x(ready);
        writeln!(picture, r#"<line class="ready" x1="{x:.1}" x2="{x:.1}" y1="{:.1}" y2="{bottom:.1}"/>"#, first - 4.0)?;
        let text = first - 9.0;
        writeln!(
            picture,
            r#"<text class="readytext" x="{x:.1}" y="{text:.1}">ready {}</text>"#,
            Figure(seconds(ready))
        )?;
    }
    Ok(())
}

fn axis(picture: &mut String, scale: &Scale, first: f64, bottom: f64) -> fmt::Result {
    let (step, decimals) = scale.step();
    let mut tick = 0;
    loop {
        let at = count(tick) * step;
        if at > scale.end + step * 0.001 {
            return Ok(());
        }
        let x = scale.x_of(at);
        writeln!(picture, r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{first:.1}" y2="{bottom:.1}"/>"#)?;
        let text = bottom + 16.0;
        writeln!(picture, r#"<text class="tick" x="{x:.1}" y="{text:.1}">{at:.decimals$} s</text>"#)?;
        tick += 1;
    }
}

fn label(picture: &mut String, text: &str, lane: f64) -> fmt::Result {
    let mut shown: String = text.chars().take(LONGEST_LABEL).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    let (x, y) = (LABELS - 10.0, lane + LANE / 2.0 + 4.0);
    writeln!(picture, r#"<text class="label" x="{x:.1}" y="{y:.1}">{}</text>"#, Escaped(&shown))
}

fn figure(picture: &mut String, x: f64, lane: f64, seconds: f64) -> fmt::Result {
    let y = lane + LANE / 2.0 + 4.0;
    writeln!(picture, r#"<text x="{x:.1}" y="{y:.1}">{}</text>"#, Figure(seconds))
}

/// Converts seconds to positions in the picture.
struct Scale {
    end: f64,
}

impl Scale {
    fn x(&self, millis: u64) -> f64 {
        self.x_of(seconds(millis))
    }

    fn x_of(&self, seconds: f64) -> f64 {
        LABELS + seconds / self.end * (WIDTH - LABELS - MARGIN)
    }

    /// The distance of axis lines (1, 2 or 5 times a power of ten), and the number of decimals for its labels.
    fn step(&self) -> (f64, usize) {
        let steps = [(0.001, 3), (0.01, 2), (0.1, 1), (1.0, 0), (10.0, 0), (100.0, 0), (1000.0, 0)];
        steps
            .into_iter()
            .flat_map(|(power, decimals)| [1.0, 2.0, 5.0].map(|factor| (factor * power, decimals)))
            .find(|(step, _)| self.end / step <= MOST_TICKS)
            .unwrap_or((10_000.0, 0))
    }
}

/// Formats seconds; short times as milliseconds, the precision of the measurement.
struct Figure(f64);

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 0.1 { write!(formatter, "{:.0} ms", self.0 * 1000.0) } else { write!(formatter, "{:.2} s", self.0) }
    }
}

/// Escapes text for XML.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                // XML cannot contain control characters, not even escaped.
                letter if letter.is_control() => formatter.write_char('\u{fffd}')?,
                letter => formatter.write_char(letter)?,
            }
        }
        Ok(())
    }
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use kubake_contract::status::Outcome;

    use super::*;

    fn phase(name: &str, started_ms: u64, elapsed_ms: Option<u64>) -> Phase {
        let outcome = if elapsed_ms.is_some() { Outcome::Done } else { Outcome::Running };
        Phase { name: name.to_owned(), started_ms, elapsed_ms, outcome, detail: None }
    }

    fn milestone(name: &str, at_ms: u64) -> Milestone {
        Milestone { name: name.to_owned(), at_ms }
    }

    #[test]
    fn two_boots_on_one_scale() {
        let timelines = [
            Timeline {
                title: "kubake:latest-1.36, run 2 of 3".to_owned(),
                ready_ms: Some(6400),
                phases: vec![
                    phase("host", 0, Some(2)),
                    phase("containerd", 9, Some(60)),
                    phase("kubernetes", 75, Some(6325)),
                ],
                milestones: vec![milestone("api-ready", 3100), milestone("pod kube-system/coredns", 5900)],
            },
            Timeline {
                title: "a<b> & \"c\"".to_owned(),
                ready_ms: None,
                phases: vec![phase("a phase that never ends and whose name is longer than its column", 0, None)],
                milestones: vec![milestone("<script>", 800)],
            },
        ];
        insta::assert_snapshot!(svg(&timelines));
    }

    #[test]
    fn nothing_to_draw_is_still_a_picture() {
        for timelines in
            [&[][..], &[Timeline { title: String::new(), ready_ms: None, phases: vec![], milestones: vec![] }]]
        {
            let picture = svg(timelines);
            assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
            assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
        }
    }

    #[test]
    fn axes_have_few_lines() {
        for (end, step, decimals) in
            [(0.001, 0.001, 3), (0.9, 0.1, 1), (6.4, 1.0, 0), (75.0, 10.0, 0), (240.0, 50.0, 0)]
        {
            let (found, found_decimals) = Scale { end }.step();
            assert!((found - step).abs() < 1e-9 && found_decimals == decimals, "{end}: {found}");
        }
    }
}
