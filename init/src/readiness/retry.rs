//! Delays between attempts. Pure: never sleeps.

use std::time::Duration;

/// Delays after failed attempts: no event reports that a port was opened. Short at first, because the boot waits, and
/// longer later.
pub(super) struct Retry {
    pub(super) attempts: u32,
}

impl Retry {
    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(1);
    /// Half a minute of short delays.
    const SHORT_ATTEMPTS: u32 = 600;

    pub(super) fn new() -> Self {
        Self { attempts: 0 }
    }

    pub(super) fn next(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts <= Self::SHORT_ATTEMPTS { Self::SHORT } else { Self::LONG }
    }

    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }

    /// After a success: counts failures from zero and waits for `interval`.
    pub(super) fn reset_to(&mut self, interval: Duration) -> Duration {
        self.reset();
        interval
    }
}
