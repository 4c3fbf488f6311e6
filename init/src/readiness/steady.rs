//! When a change of readiness is reported: a loss only when it lasts, and after a loss the evidence must hold for a
//! moment before the cluster is ready again. Pure: the time is given.
//!
//! Without this, a watch that is opened again or one lost answer would refuse every caller for a moment, and a pod that
//! crashes in a loop would make the answer flap.

use std::time::Duration;

use tokio::time::Instant;

/// How long evidence must be missing from a ready cluster before the loss is reported.
pub(super) const LOSS: Duration = Duration::from_secs(3);
/// How long evidence must be complete before a lost cluster is ready again.
pub(super) const RECOVERY: Duration = Duration::from_secs(2);

/// The last report, and since when the evidence differs from it.
#[derive(Debug, Default)]
pub(super) struct Steady {
    reported: Reported,
    differs_since: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Reported {
    /// It was never ready, so the first readiness is reported at once.
    #[default]
    NeverReady,
    Ready,
    Lost,
}

/// What to report now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The evidence as it is.
    Report,
    /// The last report stays; judge again at this time, if nothing is learned before.
    Keep(Instant),
}

impl Steady {
    /// Decides on the evidence at `now`.
    pub(super) fn judge(&mut self, is_complete: bool, now: Instant) -> Verdict {
        let patience = match (self.reported, is_complete) {
            (Reported::NeverReady, false) | (Reported::Ready, true) | (Reported::Lost, false) => {
                self.differs_since = None;
                return Verdict::Report;
            }
            (Reported::NeverReady, true) => Duration::ZERO,
            (Reported::Ready, false) => LOSS,
            (Reported::Lost, true) => RECOVERY,
        };
        let due = *self.differs_since.get_or_insert(now) + patience;
        if now < due {
            return Verdict::Keep(due);
        }
        self.differs_since = None;
        self.reported = if is_complete { Reported::Ready } else { Reported::Lost };
        Verdict::Report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_readiness_is_reported_at_once() {
        let mut steady = Steady::default();
        let now = Instant::now();
        assert_eq!(steady.judge(false, now), Verdict::Report);
        assert_eq!(steady.judge(true, now), Verdict::Report);
    }

    #[test]
    fn a_loss_that_lasts_is_reported_and_a_short_one_is_not() {
        let mut steady = Steady::default();
        let begin = Instant::now();
        steady.judge(true, begin);
        assert_eq!(steady.judge(false, begin), Verdict::Keep(begin + LOSS));
        assert_eq!(steady.judge(true, begin + LOSS / 2), Verdict::Report);
        // The next loss starts the clock again.
        let second = begin + LOSS;
        assert_eq!(steady.judge(false, second), Verdict::Keep(second + LOSS));
        assert_eq!(steady.judge(false, second + LOSS), Verdict::Report);
    }

    #[test]
    fn evidence_must_hold_after_a_loss() {
        let mut steady = Steady::default();
        let begin = Instant::now();
        steady.judge(true, begin);
        steady.judge(false, begin);
        steady.judge(false, begin + LOSS);
        let back = begin + LOSS * 2;
        assert_eq!(steady.judge(true, back), Verdict::Keep(back + RECOVERY));
        assert_eq!(steady.judge(false, back + RECOVERY / 2), Verdict::Report);
        let again = back + RECOVERY;
        assert_eq!(steady.judge(true, again), Verdict::Keep(again + RECOVERY));
        assert_eq!(steady.judge(true, again + RECOVERY), Verdict::Report);
    }
}
