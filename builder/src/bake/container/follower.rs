//! Turns the output of a build container into progress lines, and into an error if it fails.

use std::collections::VecDeque;
use std::time::Duration;

use kubake_contract::Event;

use super::super::error::{Error, Retained};
use crate::printer::Phase;
use crate::process::RunError;

/// Number of log lines that an error shows.
const LOG_LINES: usize = 30;

/// State of one run: the current phase, the reason of a failure, the last log lines.
pub(super) struct Follower<'a> {
    phase: &'a Phase,
    at: String,
    reason: Option<String>,
    log: VecDeque<String>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(phase: &'a Phase) -> Self {
        Self { phase, at: "start".to_owned(), reason: None, log: VecDeque::new() }
    }

    pub(super) fn event(&mut self, line: &str) {
        match serde_json::from_str::<Event>(line) {
            Ok(Event::PhaseStarted { name, index, count }) => {
                self.phase.message(format_args!("{name} ({index}/{count})"));
                self.at = name;
            }
            Ok(Event::PhaseDone { name, elapsed_ms }) => self.phase.step(name, Duration::from_millis(elapsed_ms)),
            Ok(Event::PhaseFailed { name, reason, .. }) => {
                self.at = name;
                self.reason = Some(reason);
            }
            Ok(Event::Note { text }) => {
                self.phase.message(format_args!("{}: {text}", self.at));
                // The output of hooks arrives as notes, and an error needs its last lines.
                self.remember(&text);
            }
            Ok(Event::Warning { text }) => self.phase.warn(text),
            Err(_) => self.log(line),
        }
    }

    pub(super) fn log(&mut self, line: &str) {
        self.phase.detail(line);
        self.remember(line);
    }

    fn remember(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(line.to_owned());
    }

    pub(super) fn failure(self, role: &'static str, ended: &RunError, retained: Option<Box<Retained>>) -> Error {
        let reason = self.reason.unwrap_or_else(|| match ended.code() {
            Some(code) => format!("it ended with status {code} and gave no reason"),
            None => "it was killed".to_owned(),
        });
        Error::Container { role, phase: self.at, reason, log: self.log.into(), retained }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::{Printer, Verbosity};

    #[test]
    fn events_become_lines_and_a_failure_names_its_phase() {
        let printer = Printer::capturing(Verbosity::Normal);
        let phase = printer.phase("cluster");
        let mut follower = Follower::new(&phase);
        for line in [
            r#"{"event":"phase-started","name":"kubeadm","index":3,"count":7}"#,
            r#"{"event":"phase-done","name":"kubeadm","elapsed_ms":1500}"#,
            r#"{"event":"phase-started","name":"hooks","index":4,"count":7}"#,
            r#"{"event":"warning","text":"hook 05-y failed"}"#,
            r#"{"event":"note","text":"10-x | oh no"}"#,
            "not an event",
            r#"{"event":"phase-failed","name":"hooks","elapsed_ms":5,"reason":"hook 10-x failed"}"#,
        ] {
            follower.event(line);
        }
        follower.log("last words");
        let ended = RunError::Interrupted { command: String::new() };
        let error = follower.failure("bake-cluster", &ended, None);
        assert_eq!(
            error.to_string(),
            "bake-cluster failed in hooks: hook 10-x failed\n  | 10-x | oh no\n  | not an event\n  | last words"
        );
        assert_eq!(printer.captured(), "• cluster\n  ✓ kubeadm 1.5s\nwarning: hook 05-y failed\n");
    }
}
