//! Durations as the settings write them: how long something may take, and how long a certificate is valid. Parses and
//! prints whole seconds.

use std::time::Duration;

use kubake_contract::CERT_LIFETIME;

/// Reads `90`, `90s`, `5m`, `1h`, `2m30s`; a bare number is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text)
        .ok()
        .filter(|duration| duration.subsec_nanos() == 0)
        .ok_or_else(|| format!("`{text}` is not a duration such as `90s`, `5m` or `2m30s`"))
}

/// Reads how long something may take; no time at all is a mistake.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err(format!("`{text}` leaves no time; give it some, such as `30m`")),
        timeout => Ok(timeout),
    }
}

/// Prints a duration so that [`parse_duration`] reads the same.
pub(super) fn print_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (hours, 0, 0) => format!("{hours}h"),
        (0, minutes, 0) => format!("{minutes}m"),
        (hours, minutes, seconds) => format!("{}m{seconds}s", hours * 60 + minutes),
    }
}

/// Seconds of a day.
const DAY: u64 = 24 * 3600;
/// How long certificates are valid unless the setting says otherwise.
pub(crate) const DEFAULT_VALIDITY: Duration = CERT_LIFETIME;

/// Reads how long a certificate is valid: `24h`, `30d`, `1y`.
pub(super) fn parse_validity(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a duration such as `24h`, `30d` or `3650d`"))?;
    // What is printed has whole seconds, and what is printed is what counts.
    let duration = Duration::from_secs(duration.as_secs());
    if (3600..=36500 * DAY).contains(&duration.as_secs()) {
        Ok(duration)
    } else {
        Err(format!("`{text}` must be at least `1h` and at most `36500d`"))
    }
}

/// Prints it so that [`parse_validity`] and `kubake-init` read the same.
#[must_use]
pub(crate) fn print_validity(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, secs, printed) in
            [("90", 90, "1m30s"), ("5m", 300, "5m"), ("1h", 3600, "1h"), ("0", 0, "0s"), ("1h2m3s", 3723, "62m3s")]
        {
            let duration = parse_duration(text).unwrap();
            assert_eq!((duration.as_secs(), print_duration(duration).as_str()), (secs, printed), "{text}");
            assert_eq!(parse_duration(printed).unwrap(), duration);
        }
        for text in ["", "m", "5x", "5m3", "-1", "99999999999999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn validities() {
        for (text, printed) in
            [("3650d", "3650d"), ("1h", "1h"), ("24h", "1d"), ("36500 days", "36500d"), ("90m 1s", "5401s")]
        {
            let duration = parse_validity(text).unwrap();
            assert_eq!(print_validity(duration), printed, "{text}");
            assert_eq!(parse_validity(printed).unwrap(), duration);
        }
        for text in ["", "3650", "59m", "36501d", "0d", "forever", "-1d"] {
            assert!(parse_validity(text).is_err(), "{text}");
        }
        assert_eq!(print_validity(DEFAULT_VALIDITY), "3650d");
    }
}
