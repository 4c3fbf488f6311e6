//! Delays between restarts: they double up to a limit, and start over after a long run. Reads no clock.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
const LIMIT: Duration = Duration::from_secs(10);
/// The delay of a daemon that has never served and is not given up.
pub(super) const HOPELESS: Duration = Duration::from_secs(60);
/// A run that lasts longer counts as good, so the next failure is a first one again.
const GOOD_RUN: Duration = Duration::from_secs(60);

/// The delay before the next restart.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// Returns the delay after a run that lasted for `run`. The following delay is twice as long.
    pub(super) fn delay_after(&mut self, run: Duration) -> Duration {
        if run > GOOD_RUN {
            self.next = FIRST;
        }
        let delay = self.next;
        self.next = (delay * 2).min(LIMIT);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_limit_and_start_over_after_a_good_run() {
        let mut backoff = Backoff::default();
        let delays: Vec<u128> = (0..7).map(|_| backoff.delay_after(GOOD_RUN).as_millis()).collect();
        assert_eq!(delays, [200, 400, 800, 1600, 3200, 6400, 10_000]);
        assert_eq!(backoff.delay_after(GOOD_RUN).as_millis(), 10_000);
        assert_eq!(backoff.delay_after(GOOD_RUN + Duration::from_millis(1)).as_millis(), 200);
    }
}
