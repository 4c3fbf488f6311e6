//! The report of `kubake doctor`, as lines for people and as JSON.

use serde::{Deserialize, Serialize};

use super::facts::{self, Facts};
use super::judge::{self, Finding, Verdict};
use crate::process::Runner;

/// Findings and the facts behind them: the JSON of `kubake doctor --json`, for bug reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The worst verdict of all findings.
    pub(crate) verdict: Verdict,
    pub(crate) findings: Vec<Finding>,
    pub(crate) facts: Facts,
}

impl Report {
    #[must_use]
    pub(crate) fn new(facts: Facts) -> Self {
        let findings = judge::judge(&facts);
        Self { verdict: judge::worst(&findings), findings, facts }
    }

    /// Gathers facts from the engine and this host, and judges them.
    #[must_use]
    pub(crate) fn here(runner: &Runner) -> Self {
        Self::new(facts::gather(runner))
    }

    /// The findings as lines for people, with a summary at the end. The marks differ in shape, so they need no colour.
    #[must_use]
    pub(crate) fn lines(&self) -> Vec<String> {
        let width = self.findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
        let mut lines = Vec::new();
        for finding in &self.findings {
            let mark = mark(finding.verdict);
            lines.push(format!("{mark} {:width$}  {}", finding.name, finding.value.replace('\n', " ")));
            if !finding.advice.is_empty() && finding.verdict != Verdict::Ok {
                lines.push(format!("  {:width$}  → {}", "", finding.advice));
            }
        }
        let count = |verdict| self.findings.iter().filter(|finding| finding.verdict == verdict).count();
        let (problems, warnings) = (count(Verdict::Problem), count(Verdict::Warning));
        lines.push(String::new());
        lines.push(match (problems, warnings) {
            (0, 0) => "kubake can build and run clusters here".to_owned(),
            (0, warnings) => format!("kubake works here, with {}", plural(warnings, "warning")),
            (problems, _) => format!("kubake does not work here yet: solve {}", plural(problems, "problem")),
        });
        lines
    }
}

#[must_use]
pub(super) fn mark(verdict: Verdict) -> char {
    match verdict {
        Verdict::Ok => '✓',
        Verdict::Warning => '!',
        Verdict::Problem => '✗',
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::super::facts::EngineState;
    use super::*;

    #[test]
    fn lines_for_people() {
        let finding = |name: &str, verdict, value: &str, advice: &str| Finding {
            name: name.into(),
            verdict,
            value: value.into(),
            advice: advice.into(),
        };
        let mut report = Report {
            verdict: Verdict::Problem,
            findings: vec![
                finding("engine", Verdict::Ok, "docker 28.2.2", ""),
                finding("inotify instances", Verdict::Warning, "128", "raise it"),
                finding("disk", Verdict::Problem, "1.0 GiB free", "free 3 GB"),
            ],
            facts: Facts { engine: EngineState::Fails(String::new()), host: None },
        };
        insta::assert_snapshot!(report.lines().join("\n"), @r"
        ✓ engine             docker 28.2.2
        ! inotify instances  128
                             → raise it
        ✗ disk               1.0 GiB free
                             → free 3 GB

        kubake does not work here yet: solve 1 problem
        ");
        report.findings.truncate(1);
        assert_eq!(report.lines().last().unwrap(), "kubake can build and run clusters here");
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains(r#""verdict":"ok""#), "{json}");
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }

    #[test]
    #[ignore = "needs a running engine"]
    fn this_host() {
        crate::install::for_tests(&Runner::default());
        let report = Report::here(&Runner::default());
        assert!(report.findings.len() > 15);
        assert_eq!(report.findings[0].name, "engine");
        assert_ne!(report.findings[0].verdict, Verdict::Problem);
        assert!(report.facts.host.is_some_and(|host| host.disk.is_some()));
    }
}
