//! Which times of the wall clock belong to this boot, although the clock may have been set since it began. Pure: learns
//! the time from its caller.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Kubernetes writes times in whole seconds, rounded down; and clocks that are adjusted slowly differ by less.
const SLACK: Duration = Duration::from_secs(1);
/// A clock that is set more often than this many times is remembered less precisely.
const MOST_SPANS: usize = 64;

/// What the wall clock has shown since the boot began: one span, and another whenever the clock was set. A time between
/// spans is none of this boot: the bake's clock may have been ahead of the one with which the boot began.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    spans: Vec<(SystemTime, SystemTime)>,
    last: (Instant, SystemTime),
}

impl Clock {
    pub(super) fn new((begun, boot): (Instant, SystemTime)) -> Self {
        Self { spans: vec![(boot, boot)], last: (begun, boot) }
    }

    /// Takes note of the time, which must be done often: what the clock shows between two calls is derived from them.
    pub(super) fn at(&mut self, now: Instant, wall: SystemTime) {
        let (before, wall_before) = self.last;
        let elapsed = now.duration_since(before);
        let expected = wall_before + elapsed;
        let apart = wall.duration_since(expected).unwrap_or_else(|error| error.duration());
        let was_set = apart > SLACK;
        if let Some((_, end)) = self.spans.last_mut() {
            *end = if was_set { expected } else { (*end).max(wall) };
        }
        if was_set {
            self.spans.push((wall.checked_sub(elapsed).unwrap_or(wall), wall));
        }
        if self.spans.len() > MOST_SPANS {
            let (start, end) = self.spans.remove(0);
            let second = &mut self.spans[0];
            *second = (second.0.min(start), second.1.max(end));
        }
        self.last = (now, wall);
    }

    /// Whether the clock has shown this time since the boot began. A time that does not parse is none.
    pub(super) fn has_shown(&self, time: &str) -> bool {
        humantime::parse_rfc3339(time)
            .is_ok_and(|time| self.spans.iter().any(|(start, end)| time + SLACK >= *start && time < *end + SLACK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "2026-11-22T10:00:00Z";
    const MINUTE: Duration = Duration::from_secs(60);

    fn time(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    fn clock() -> (Clock, Instant) {
        let now = Instant::now();
        (Clock::new((now, time(BOOT))), now)
    }

    #[test]
    fn times_before_and_after_are_none_of_this_boot() {
        let (mut clock, now) = clock();
        clock.at(now + MINUTE, time(BOOT) + MINUTE);
        assert!(clock.has_shown(BOOT) && clock.has_shown("2026-11-22T10:01:00Z"));
        assert!(clock.has_shown("2026-11-22T09:59:59Z"), "rounded down");
        for other in ["2026-11-22T09:59:58Z", "2026-11-22T10:01:02Z", "", "yesterday"] {
            assert!(!clock.has_shown(other), "{other}");
        }
    }

    #[test]
    fn a_clock_that_was_behind_the_bake_and_is_set_forward_makes_nothing_of_the_bake_new() {
        let (mut clock, now) = clock();
        clock.at(now + Duration::from_secs(5), time("2026-11-22T10:00:05Z"));
        // Two seconds later it shows the next day, a second before which it was set.
        clock.at(now + Duration::from_secs(7), time("2026-11-23T10:00:07Z"));
        assert!(!clock.has_shown("2026-11-22T18:00:00Z"), "the bake's");
        for own in ["2026-11-22T10:00:04Z", "2026-11-22T10:00:06Z", "2026-11-23T10:00:06Z"] {
            assert!(clock.has_shown(own), "{own}");
        }
    }

    #[test]
    fn slow_adjustments_and_many_jumps_lose_nothing() {
        let (mut clock, now) = clock();
        for step in 1..=100 {
            clock.at(now + MINUTE * step, time(BOOT) + MINUTE * step + Duration::from_millis(500) * step);
        }
        assert_eq!(clock.spans.len(), 1);
        for step in 101..=300 {
            let day = Duration::from_secs(86400) * step;
            clock.at(now + MINUTE * step, time(BOOT) + day);
        }
        assert!(clock.spans.len() <= MOST_SPANS && clock.has_shown(BOOT));
    }
}
