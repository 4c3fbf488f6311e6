//! How the phases of a boot are shown while the user waits.

use std::time::Duration;

use kubake_contract::status::{Outcome, Status};

use crate::printer::Phase;

/// A line for each phase that ended since the last look, and the one that runs as the message.
pub(super) fn show_phases(status: &Status, shown: &mut usize, phase: &Phase) {
    while let Some(next) = status.phases.get(*shown) {
        match next.outcome {
            Outcome::Running => break,
            Outcome::Done => phase.step(&next.name, Duration::from_millis(next.elapsed_ms.unwrap_or_default())),
            Outcome::Failed => {}
        }
        *shown += 1;
    }
    let running: Vec<&str> = status
        .phases
        .iter()
        .filter(|phase| phase.outcome == Outcome::Running)
        .map(|phase| phase.name.as_str())
        .collect();
    if !running.is_empty() {
        phase.message(running.join(", "));
    } else if let Some(missing) = status.kubernetes.missing.first() {
        phase.message(missing);
    }
}

#[cfg(test)]
mod tests {
    use kubake_contract::status::Phase as BootPhase;

    use super::*;
    use crate::printer::{Printer, Verbosity};

    #[test]
    fn each_phase_is_shown_once() {
        let printer = Printer::capturing(Verbosity::Normal);
        let phase = printer.phase("boot");
        let boot = |name: &str, outcome| BootPhase {
            name: name.to_owned(),
            started_ms: 0,
            elapsed_ms: (outcome == Outcome::Done).then_some(0),
            outcome,
            detail: None,
        };
        let mut status = Status::booting();
        let mut shown = 0;
        status.phases = vec![boot("network", Outcome::Running)];
        show_phases(&status, &mut shown, &phase);
        status.phases = vec![boot("network", Outcome::Done), boot("etcd", Outcome::Running)];
        show_phases(&status, &mut shown, &phase);
        show_phases(&status, &mut shown, &phase);
        status.phases = vec![boot("network", Outcome::Done), boot("etcd", Outcome::Done)];
        show_phases(&status, &mut shown, &phase);
        assert_eq!(printer.captured(), "• boot\n  ✓ network 0.0s\n  ✓ etcd 0.0s\n");
    }
}
