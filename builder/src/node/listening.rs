//! Asks a node's readiness endpoints until they answer 200.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use kubake_contract::status::Status;

use super::http::Server;
use crate::process::Cancel;

/// How long the cluster may hold an answer back until there is something to say.
const LONG_POLL: Duration = Duration::from_secs(30);
/// On top of that until an answer is overdue.
pub(super) const SLACK: Duration = Duration::from_secs(10);
/// Between two attempts to reach a server that does not listen yet; the engine's proxy gives no event for that.
const RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Over(pub(super) Cancel);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Asks a readiness endpoint until it answers 200, and says when that was; none when `over` is set before, or when
/// `missing`, which gets what the other answers say, does not want more of them.
pub(super) fn ask_until_200(
    server: &Server,
    endpoint: &str,
    over: &Cancel,
    missing: impl Fn(String) -> bool,
) -> Option<Instant> {
    let path = format!("{endpoint}?wait={}s", LONG_POLL.as_secs());
    loop {
        let began = Instant::now();
        let said = match server.get(&path, LONG_POLL + SLACK) {
            Ok(answer) if answer.status == 200 => return Some(Instant::now()),
            Ok(answer) => first_lines(&answer.body),
            Err(error) => format!("its HTTP port does not answer yet ({})", crate::printer::chain(&error)),
        };
        let pause = RETRY.saturating_sub(began.elapsed());
        if !missing(said) || !over.sleep(pause) {
            return None;
        }
    }
}

/// Listens beside other work for the moment at which an endpoint answers 200; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    #[expect(dead_code, reason = "held, not used: the thread ends when it is dropped")]
    over: Over,
    seen: Receiver<Instant>,
}

impl Listening {
    pub(crate) fn to(server: &Server, endpoint: &'static str) -> Self {
        let (sender, seen) = mpsc::channel();
        let over = Over(Cancel::new());
        let (server, token) = (server.clone(), over.0.clone());
        thread::spawn(move || {
            if let Some(at) = ask_until_200(&server, endpoint, &token, |_| true) {
                let _ = sender.send(at);
            }
        });
        Self { over, seen }
    }

    /// When it was; waits for it at most until `deadline`, and not after `cancel` is set.
    pub(crate) fn heard(self, deadline: Instant, cancel: &Cancel) -> Option<Instant> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.seen.recv_timeout(left.min(Duration::from_millis(200))) {
                Ok(at) => return Some(at),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if left.is_zero() || cancel.is_cancelled() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

pub(crate) fn parse_status(body: &str) -> Option<Status> {
    serde_json::from_str(body).ok()
}

fn first_lines(body: &str) -> String {
    let lines: Vec<&str> = body.lines().map(str::trim).filter(|line| !line.is_empty()).take(5).collect();
    lines.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_becomes_one_line() {
        assert_eq!(first_lines("not ready\n\n  etcd \n dns\n"), "not ready; etcd; dns");
    }
}
