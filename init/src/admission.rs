//! The connections that a server has at a time: how many in all, and how many from one address, so that one caller leaves
//! places for others. Counts those that are refused and logs the count at most once a minute. Knows no protocol.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};

/// Within this time after a line, refusals are only counted.
const QUIET: Duration = Duration::from_secs(60);
/// Pause after a failure: without file descriptors, `accept` stays ready and would spin.
const PAUSE: Duration = Duration::from_millis(100);

/// How many at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From all addresses together.
    pub all: usize,
    /// From one address.
    pub each: usize,
}

/// The places of one server, which may have several listeners.
#[derive(Debug)]
pub(crate) struct Admission {
    /// For the log: the server, and what takes a place.
    server: &'static str,
    what: &'static str,
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    /// Addresses without a place are not in it.
    each: HashMap<IpAddr, usize>,
    refused: Quiet,
    failed: Quiet,
}

/// Repetitions of an event since its last line in the log.
#[derive(Debug, Default)]
struct Quiet {
    logged: Option<Instant>,
    count: u64,
}

impl Quiet {
    /// Counts an event; returns the count if a line is due.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.count += 1;
        if self.logged.is_some_and(|logged| now.saturating_duration_since(logged) < QUIET) {
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

/// A place, free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    peer: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.all = state.all.saturating_sub(1);
        if let Some(open) = state.each.get_mut(&self.peer) {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.each.remove(&self.peer);
            }
        }
    }
}

impl Admission {
    /// `server` and `what` are for the log, such as `http` and `connection`.
    #[must_use]
    pub(crate) fn new(server: &'static str, what: &'static str, limits: Limits) -> Arc<Self> {
        Arc::new(Self { server, what, limits, state: Mutex::default() })
    }

    /// A place for `peer`; none if there is none left for it.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr) -> Option<Place> {
        let peer = peer.to_canonical();
        let mut state = self.state();
        let open = state.each.get(&peer).copied().unwrap_or(0);
        if state.all >= self.limits.all || open >= self.limits.each {
            if let Some(count) = state.refused.count(Instant::now()) {
                let (server, what, all) = (self.server, self.what, state.all);
                tracing::warn!(
                    "{server}: {count} {what} refused since the last such line: {all} are open, {open} of them from {peer}"
                );
            }
            return None;
        }
        state.all += 1;
        state.each.insert(peer, open + 1);
        Some(Place { admission: Arc::clone(self), peer })
    }

    /// The next connection that has a place; refused ones are closed. Nothing is lost if the caller stops waiting.
    pub(crate) async fn accept(self: &Arc<Self>, listener: &TcpListener) -> (TcpStream, SocketAddr, Place) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    if let Some(place) = self.admit(peer.ip()) {
                        return (stream, peer, place);
                    }
                }
                Err(error) => {
                    let due = self.state().failed.count(Instant::now());
                    if let Some(count) = due {
                        tracing::warn!("{}: {count} of the connections could not be accepted: {error}", self.server);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held leaves the counts consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([10, 244, 0, last])
    }

    #[test]
    fn one_caller_leaves_places_for_others() {
        let admission = Admission::new("test", "connection", Limits { all: 5, each: 3 });
        let greedy: Vec<_> = std::iter::from_fn(|| admission.admit(peer(1))).collect();
        assert_eq!(greedy.len(), 3);
        let mapped = "::ffff:10.244.0.1".parse().unwrap();
        assert!(admission.admit(mapped).is_none(), "the same address over a socket for both protocols");
        let others: Vec<_> = (2..9).filter_map(|last| admission.admit(peer(last))).collect();
        assert_eq!(others.len(), 2, "the limit on all of them");
        drop(greedy);
        assert!(admission.admit(peer(1)).is_some());
        drop(others);
        assert!(admission.state().each.is_empty(), "no memory of callers that are gone");
        assert_eq!(admission.state().all, 0);
    }

    #[test]
    fn refusals_are_counted_and_logged_once_a_minute() {
        let (mut quiet, begun) = (Quiet::default(), Instant::now());
        let mut at = |seconds| quiet.count(begun + Duration::from_secs(seconds));
        assert_eq!(at(0), Some(1));
        for second in 1..60 {
            assert_eq!(at(second), None);
        }
        assert_eq!(at(60), Some(60));
        assert_eq!(at(61), None);
        assert_eq!(at(500), Some(2));
    }

    #[tokio::test]
    async fn refused_connections_are_closed_and_the_next_is_served() {
        let admission = Admission::new("test", "connection", Limits { all: 1, each: 1 });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_first, (_, _, place)) = tokio::join!(TcpStream::connect(address), admission.accept(&listener));
        let refused = TcpStream::connect(address).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(50), admission.accept(&listener)).await;
        assert!(waiting.is_err());
        refused.readable().await.unwrap();
        assert_eq!(refused.try_read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
        drop(place);
        let (_second, (_, peer, _)) = tokio::join!(TcpStream::connect(address), admission.accept(&listener));
        assert!(peer.ip().is_loopback());
    }
}
