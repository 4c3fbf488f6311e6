//! The query part of a request: decoding, and the form of durations. Pure; knows nothing of endpoints.

use std::time::Duration;

use hyper::http::request::Parts;

/// The longest wait in one request: proxies in between cut off requests that take longer.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The first value of `key`, decoded; none when it is absent or not UTF-8.
pub(super) fn value(query: Option<&str>, key: &str) -> Option<String> {
    query?.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == key).then(|| decode(value))?
    })
}

/// The decoded value of a request's parameter.
pub(super) fn parameter(request: &Parts, key: &str) -> Option<String> {
    value(request.uri.query(), key)
}

/// Reads `60s`, `5m`, `500ms` or bare seconds; [`LONGEST_WAIT`] is the most.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|byte: char| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    // Nine digits are enough for any wait and too few to overflow.
    let number: u64 = (number.len() <= 9).then(|| number.parse().ok())??;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number * 60),
        _ => return None,
    };
    Some(duration.min(LONGEST_WAIT))
}

/// Decodes `%41` and `+`.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_and_decoded() {
        let query = Some("a=1&server=https%3A%2F%2Fkind%3a8443&empty&a=2");
        assert_eq!(value(query, "a").as_deref(), Some("1"));
        assert_eq!(value(query, "server").as_deref(), Some("https://kind:8443"));
        assert_eq!(value(query, "empty").as_deref(), Some(""));
        assert_eq!(value(query, "other"), None);
        for broken in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=%+1"] {
            assert_eq!(value(Some(broken), "a"), None, "{broken}");
        }
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(duration("60s"), Some(Duration::from_secs(60)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("7"), Some(Duration::from_secs(7)));
        assert_eq!(duration("999999999m"), Some(LONGEST_WAIT));
        for broken in ["", "s", "-1s", "1h", "1.5s", "9999999999s", " 1s"] {
            assert_eq!(duration(broken), None, "{broken}");
        }
    }
}
