//! What callers are told, given what is seen: a loss is told only when it lasts, and after a loss the evidence must
//! hold for a moment before the cluster is called ready again. Pure: the time is given.
//!
//! Without this, a watch that is begun anew or one question that got lost would turn every caller away for a moment,
//! and a pod that crashes in a loop would make the answer flap.

use std::time::Duration;

use tokio::time::Instant;

/// How long something must be missing from a ready cluster until it is told.
pub(super) const LOSS: Duration = Duration::from_secs(3);
/// How long nothing may be missing until a cluster that was lost is ready again.
pub(super) const RECOVERY: Duration = Duration::from_secs(2);

/// What was told last, and since when the evidence differs from it.
#[derive(Debug, Default)]
pub(super) struct Steady {
    told: Told,
    differs_since: Option<Instant>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// It never was ready: nothing to be careful about.
    #[default]
    NeverReady,
    Ready,
    Lost,
}

/// What to tell now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The evidence, as it is.
    Tell,
    /// What was told before; look again at the time given, if nothing is learned until then.
    Keep(Instant),
}

impl Steady {
    /// Decides on what is seen at `now`.
    pub(super) fn judge(&mut self, is_complete: bool, now: Instant) -> Verdict {
        let patience = match (self.told, is_complete) {
            (Told::NeverReady, false) | (Told::Ready, true) | (Told::Lost, false) => {
                self.differs_since = None;
                return Verdict::Tell;
            }
            (Told::NeverReady, true) => Duration::ZERO,
            (Told::Ready, false) => LOSS,
            (Told::Lost, true) => RECOVERY,
        };
        let due = *self.differs_since.get_or_insert(now) + patience;
        if now < due {
            return Verdict::Keep(due);
        }
        self.differs_since = None;
        self.told = if is_complete { Told::Ready } else { Told::Lost };
        Verdict::Tell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_readiness_is_told_at_once() {
        let mut steady = Steady::default();
        let now = Instant::now();
        assert_eq!(steady.judge(false, now), Verdict::Tell);
        assert_eq!(steady.judge(true, now), Verdict::Tell);
    }

    #[test]
    fn a_loss_that_lasts_is_told_and_a_short_one_is_not() {
        let mut steady = Steady::default();
        let begin = Instant::now();
        steady.judge(true, begin);
        assert_eq!(steady.judge(false, begin), Verdict::Keep(begin + LOSS));
        assert_eq!(steady.judge(true, begin + LOSS / 2), Verdict::Tell);
        // The clock starts anew with the next loss.
        let second = begin + LOSS;
        assert_eq!(steady.judge(false, second), Verdict::Keep(second + LOSS));
        assert_eq!(steady.judge(false, second + LOSS), Verdict::Tell);
    }

    #[test]
    fn what_was_lost_must_hold_before_it_is_ready_again() {
        let mut steady = Steady::default();
        let begin = Instant::now();
        steady.judge(true, begin);
        steady.judge(false, begin);
        steady.judge(false, begin + LOSS);
        let back = begin + LOSS * 2;
        assert_eq!(steady.judge(true, back), Verdict::Keep(back + RECOVERY));
        assert_eq!(steady.judge(false, back + RECOVERY / 2), Verdict::Tell);
        let again = back + RECOVERY;
        assert_eq!(steady.judge(true, again), Verdict::Keep(again + RECOVERY));
        assert_eq!(steady.judge(true, again + RECOVERY), Verdict::Tell);
    }
}
