//! Who fetched credentials, and who tried: lines for the log. Owns how many of them there are: somebody who polls, or
//! knocks again and again, gets one line a minute with a count, so that no caller fills a disk. Decides nothing else.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Within this time the same again is only counted.
const QUIET: Duration = Duration::from_secs(60);
/// How many different ones are remembered; of more, the oldest is forgotten, which costs a line too many.
const MOST: usize = 256;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Fetched,
    Refused,
}

type Key = (What, &'static str, IpAddr);

/// When it was told last, and how often it happened since.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Instant,
    since: u32,
}

/// What the log was told lately.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    told: Mutex<HashMap<Key, Told>>,
}

impl Journal {
    /// Somebody got what an endpoint gives.
    pub(super) fn fetched(&self, endpoint: &'static str, peer: IpAddr) {
        if let Some(line) = self.line(What::Fetched, endpoint, peer, Instant::now()) {
            tracing::info!("{line}");
        }
    }

    /// Somebody did not get it, for want of the token.
    pub(super) fn refused(&self, endpoint: &'static str, peer: IpAddr) {
        if let Some(line) = self.line(What::Refused, endpoint, peer, Instant::now()) {
            tracing::warn!("{line}");
        }
    }

    /// What was told, with how often it happened again since.
    #[cfg(test)]
    pub(super) fn told(&self) -> std::collections::BTreeMap<String, u32> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().map(|((what, endpoint, peer), told)| (format!("{what:?} {endpoint} {peer}"), told.since)).collect()
    }

    fn line(&self, what: What, endpoint: &'static str, peer: IpAddr, now: Instant) -> Option<String> {
        let key = (what, endpoint, peer.to_canonical());
        // Nothing is left half-changed by a panic while it is held.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut since = 0;
        if let Some(before) = told.get_mut(&key) {
            if now.saturating_duration_since(before.at) < QUIET {
                before.since = before.since.saturating_add(1);
                return None;
            }
            since = before.since;
        } else if told.len() >= MOST {
            let oldest = told.iter().min_by_key(|(_, told)| told.at).map(|(key, _)| *key);
            oldest.and_then(|oldest| told.remove(&oldest));
        }
        told.insert(key, Told { at: now, since: 0 });
        let verb = match what {
            What::Fetched => "fetched by",
            What::Refused => "refused to",
        };
        let why = if what == What::Refused { ": no token, or a wrong one" } else { "" };
        let more = if since == 0 { String::new() } else { format!(" ({since} more since the last such line)") };
        Some(format!("http: {endpoint} {verb} {}{why}{more}", key.2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_is_counted_and_told_after_a_minute() {
        let journal = Journal::default();
        let begun = Instant::now();
        let peer = |last| IpAddr::from([172, 17, 0, last]);
        let line =
            |what, endpoint, last, secs| journal.line(what, endpoint, peer(last), begun + Duration::from_secs(secs));
        assert_eq!(line(What::Fetched, "/config", 1, 0).as_deref(), Some("http: /config fetched by 172.17.0.1"));
        assert_eq!(line(What::Fetched, "/config", 1, 30), None);
        assert_eq!(line(What::Fetched, "/config", 1, 59), None);
        // Another peer, another endpoint and another outcome are something else.
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
    fn memory_is_bounded_whoever_calls() {
        let journal = Journal::default();
        let begun = Instant::now();
        for number in 0..10_000_u32 {
            let now = begun + Duration::from_millis(number.into());
            assert!(journal.line(What::Refused, "/config", IpAddr::from(number.to_be_bytes()), now).is_some());
        }
        assert_eq!(journal.told.lock().unwrap().len(), MOST);
    }
}
