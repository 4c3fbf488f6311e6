//! Failures of a daemon, each with the end of its log if there is one.

use std::time::Duration;

/// A daemon that cannot be started or kept running.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    #[error("cannot start {name} ({program})")]
    Spawn { name: &'static str, program: String, source: std::io::Error },
    #[error("cannot open the log {path}")]
    Log { path: String, source: std::io::Error },
    #[error("cannot make the notify socket {path}")]
    Notify { path: String, source: std::io::Error },
    /// The daemon ended too often before it served for the first time.
    #[error("{name} does not start: {last_exit}; the end of its log:\n{tail}")]
    GaveUp { name: &'static str, last_exit: String, tail: String },
    /// The daemon runs but did not report readiness.
    #[error("{name} did not become ready within {} s; the end of its log:\n{tail}", timeout.as_secs())]
    NotReady { name: &'static str, timeout: Duration, tail: String },
}
