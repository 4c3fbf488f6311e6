//! Log lines about callers that fetched credentials or were refused. Limits their number: a caller that polls gets one
//! line a minute with a count, so that no caller fills a disk. Decides nothing else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Within this time a repetition is only counted.
const QUIET: Duration = Duration::from_secs(60);
/// How many different events are remembered; the oldest makes room for another, which costs one line too many.
const MOST: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Fetched,
    /// Without the token.
    Refused,
    /// Under a name that is not the container's.
    Misdirected,
}

type Key = (What, &'static str, IpAddr);

/// The time of the last line, and the number of repetitions since.
#[derive(Debug, Clone, Copy)]
struct Logged {
    at: Instant,
    since: u32,
}

/// The events of the last lines.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    logged: Mutex<HashMap<Key, Logged>>,
}

impl Journal {
    /// A caller got the credentials of an endpoint.
    pub(super) fn fetched(&self, endpoint: &'static str, peer: IpAddr) {
        if let Some(line) = self.line(What::Fetched, endpoint, peer, Instant::now()) {
            tracing::info!("{line}");
        }
    }

    /// A caller was refused, because it did not bear the token.
    pub(super) fn refused(&self, endpoint: &'static str, peer: IpAddr) {
        self.warn(What::Refused, endpoint, peer);
    }

    /// A caller was refused, because of the name by which it called. The name is no part of the log: it is any text.
    pub(super) fn misdirected(&self, endpoint: &'static str, peer: IpAddr) {
        self.warn(What::Misdirected, endpoint, peer);
    }

    fn warn(&self, what: What, endpoint: &'static str, peer: IpAddr) {
        if let Some(line) = self.line(what, endpoint, peer, Instant::now()) {
            tracing::warn!("{line}");
        }
    }

    /// The events of the last lines, each with its repetitions since.
    #[cfg(test)]
    pub(super) fn logged(&self) -> std::collections::BTreeMap<String, u32> {
        let logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        logged
            .iter()
            .map(|((what, endpoint, peer), logged)| (format!("{what:?} {endpoint} {peer}"), logged.since))
            .collect()
    }

    fn line(&self, what: What, endpoint: &'static str, peer: IpAddr, now: Instant) -> Option<String> {
        let key = (what, endpoint, peer.to_canonical());
        // A panic while the lock is held leaves the map consistent.
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let mut since = 0;
        if let Some(before) = logged.get_mut(&key) {
            if now.saturating_duration_since(before.at) < QUIET {
                before.since = before.since.saturating_add(1);
                return None;
            }
            since = before.since;
        } else if logged.len() >= MOST {
            let oldest = logged.iter().min_by_key(|(_, logged)| logged.at).map(|(key, _)| *key);
            oldest.and_then(|oldest| logged.remove(&oldest));
        }
        logged.insert(key, Logged { at: now, since: 0 });
        let verb = match what {
            What::Fetched => "fetched by",
            What::Refused | What::Misdirected => "refused to",
        };
        let why = match what {
            What::Fetched => "",
            What::Refused => ": no token, or a wrong one",
            What::Misdirected => ": it called this server by a name that is not in its certificates",
        };
        let more = if since == 0 { String::new() } else { format!(" ({since} more since the last such line)") };
        Some(format!("http: {endpoint} {verb} {}{why}{more}", key.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_counted_and_logged_after_a_minute() {
        let journal = Journal::default();
        let begun = Instant::now();
        let peer = |last| IpAddr::from([172, 17, 0, last]);
        let line =
            |what, endpoint, last, secs| journal.line(what, endpoint, peer(last), begun + Duration::from_secs(secs));
        assert_eq!(line(What::Fetched, "/config", 1, 0).as_deref(), Some("http: /config fetched by 172.17.0.1"));
        assert_eq!(line(What::Fetched, "/config", 1, 30), None);
        assert_eq!(line(What::Fetched, "/config", 1, 59), None);
        // Another peer, another endpoint and another outcome are other events.
        assert!(line(What::Fetched, "/config", 2, 59).is_some());
        assert!(line(What::Fetched, "/client.key", 1, 59).is_some());
        assert_eq!(
            line(What::Refused, "/config", 1, 59).as_deref(),
            Some("http: /config refused to 172.17.0.1: no token, or a wrong one")
        );
        assert_eq!(
            line(What::Fetched, "/config", 1, 60).as_deref(),
            Some("http: /config fetched by 172.17.0.1 (2 more since the last such line)")
        );
        assert_eq!(line(What::Fetched, "/config", 1, 61), None);
    }

    #[test]
    fn memory_is_bounded_for_any_number_of_callers() {
        let journal = Journal::default();
        let begun = Instant::now();
        for number in 0..10_000_u32 {
            let now = begun + Duration::from_millis(number.into());
            assert!(journal.line(What::Refused, "/config", IpAddr::from(number.to_be_bytes()), now).is_some());
        }
        assert_eq!(journal.logged.lock().unwrap().len(), MOST);
    }
}
