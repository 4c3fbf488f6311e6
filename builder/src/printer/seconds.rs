//! Durations as people read them.

use std::time::Duration;

/// Prints a duration as `0.3s`, `42s` or `3m07s`.
#[must_use]
pub(crate) fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else if whole >= 10 {
        format!("{whole}s")
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}
