//! Waits for a node: asks it until its cluster proves itself ready, shows the phases of the boot meanwhile, and notices at
//! once when the node ends. Removes nothing and changes nothing.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use kubake_contract::Endpoint;
use kubake_contract::status::{State, Status};

use super::boot_phases::show_phases;
use super::error::Error;
use super::http::Server;
use super::listening::{Over, SLACK, ask_until_200, parse_status};
use crate::host::Host;
use crate::printer::Phase;
use crate::process::{Cancel, RunError};

/// Between two looks at the phases, which are for people.
const LOOK: Duration = Duration::from_millis(400);

/// How much of the log is shown when a container ended.
const LOG_LINES: u32 = 30;

/// What people see meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Show<'a> {
    /// A line for each phase that ended, and the one that runs as the message.
    Phases(&'a Phase),
    /// The phase that runs as the message.
    Message(&'a Phase),
    /// Shows nothing and requests only readiness, so that a measurement is not disturbed.
    Nothing,
}

/// A cluster that is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    /// When the 200 came.
    pub(crate) at: Instant,
    /// What it says of its boot, where it said it.
    pub(crate) status: Option<Status>,
}

enum Seen {
    Ready(Instant),
    Missing(String),
    Status(Box<Status>),
    Ended(Result<i64, RunError>),
}

/// A node to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRef<'a> {
    /// What the host knows the node by.
    pub(crate) id: &'a str,
    /// The name in messages.
    pub(crate) name: &'a str,
}

/// Waits until the cluster is ready, at most `timeout`.
pub(crate) fn wait_until_ready(
    host: &Host,
    node: &NodeRef<'_>,
    server: &Server,
    timeout: Duration,
    show: Show<'_>,
) -> Result<Ready, Error> {
    let (sender, seen) = mpsc::channel();
    // The threads end with this token, which is set on every way out of here.
    let over = Over(Cancel::new());
    spawn_ready(server.clone(), over.0.clone(), sender.clone());
    if !matches!(show, Show::Nothing) {
        spawn_status(server.clone(), over.0.clone(), sender.clone());
    }
    spawn_end(host, node.id, &over.0, sender);

    let deadline = Instant::now() + timeout;
    let mut missing = "its HTTP port does not answer yet".to_owned();
    let mut last: Option<Status> = None;
    let mut shown = 0;
    let mut report = |status: &Status| match show {
        Show::Phases(phase) => show_phases(status, &mut shown, phase),
        Show::Message(phase) => show_phases(status, &mut { usize::MAX }, phase),
        Show::Nothing => {}
    };
    let container = || node.name.to_owned();
    let tail = || host.log_tail(node.id, LOG_LINES);
    loop {
        if host.engine().runner().cancel().is_cancelled() {
            return Err(Error::Interrupted);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut { container: container(), after: timeout, missing, log: tail() });
        }
        // Short, because the user's Ctrl-C comes by another way.
        match seen.recv_timeout(left.min(Duration::from_millis(200))) {
            Ok(Seen::Ready(at)) => {
                let final_status =
                    server.get(Endpoint::Status.path(), SLACK).ok().and_then(|answer| parse_status(&answer.body));
                let status = final_status.or(last);
                if let Some(status) = &status {
                    report(status);
                }
                return Ok(Ready { at, status });
            }
            Ok(Seen::Missing(text)) => missing = text,
            Ok(Seen::Status(status)) => {
                report(&status);
                if status.state == State::Failed {
                    missing = status.reason.clone().unwrap_or(missing);
                }
                last = Some(*status);
            }
            Ok(Seen::Ended(Ok(code))) => {
                return Err(Error::Ended { container: container(), code, log: tail() });
            }
            Ok(Seen::Ended(Err(source))) => return Err(Error::Watch { container: container(), source }),
            Err(RecvTimeoutError::Timeout) => {}
            // All threads are gone: nothing will come any more, and waiting for the deadline would be no use.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::TimedOut { container: container(), after: timeout, missing, log: tail() });
            }
        }
    }
}

fn spawn_ready(server: Server, over: Cancel, sender: Sender<Seen>) {
    thread::spawn(move || {
        let missing = |text| sender.send(Seen::Missing(text)).is_ok();
        if let Some(at) = ask_until_200(&server, Endpoint::KubernetesReady.path(), &over, missing) {
            // Who does not listen any more does not want to know.
            drop(sender.send(Seen::Ready(at)));
        }
    });
}

fn spawn_status(server: Server, over: Cancel, sender: Sender<Seen>) {
    thread::spawn(move || {
        loop {
            if let Some(status) =
                server.get(Endpoint::Status.path(), SLACK).ok().and_then(|answer| parse_status(&answer.body))
            {
                if sender.send(Seen::Status(Box::new(status))).is_err() {
                    return;
                }
            }
            if !over.sleep(LOOK) {
                return;
            }
        }
    });
}

fn spawn_end(host: &Host, id: &str, over: &Cancel, sender: Sender<Seen>) {
    // A host whose commands end with our token and not with the user's, who wants the log tail still to come.
    let host = host.for_cleanup();
    let stop = host.engine().runner().cancel().clone();
    let id = id.to_owned();
    thread::spawn(move || {
        let ended = host.wait(&id);
        // Interrupted means that the receiver is gone, so there is nothing to report to.
        drop(sender.send(Seen::Ended(ended)));
    });
    let over = over.clone();
    thread::spawn(move || {
        // Wakes when the token is set; the hour only makes it look again.
        while over.sleep(Duration::from_secs(3600)) {}
        stop.cancel();
    });
}
