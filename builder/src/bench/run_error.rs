//! Why a measured run failed.

use std::time::Duration;

use thiserror::Error;

use crate::advice::Advice;
use crate::host::HostError;
use crate::node::{self, http, log_text};
use crate::printer::seconds;
use crate::process::RunError;

/// Why a run failed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The cluster did not become ready.
    #[error(transparent)]
    Wait(#[from] node::Error),
    /// The Docker API did not become ready.
    #[error("the Docker API in `{container}` is not ready after {}{}", seconds(*.after), log_text(.log))]
    Docker {
        container: String,
        after: Duration,
        /// The end of its log.
        log: String,
    },
    /// The host did not do what it was asked to.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The sums of the volumes could not be had.
    #[error("failed to measure the volumes of `{container}`")]
    Volumes {
        container: String,
        #[source]
        source: RunError,
    },
    /// The container is gone, or the engine does not say where it answers.
    #[error("the engine does not report where port {port} of `{container}` is published")]
    NotPublished { container: String, port: u16 },
    /// The container ended while it should have been running.
    #[error("the container `{container}` ended with status {code} after it was ready{}", log_text(.log))]
    Ended {
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// The container did not end in order.
    #[error("`docker stop {container}` ended it with status {code} and not with 0{}", log_text(.log))]
    Stopped {
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// The container does not report what it used.
    #[error("failed to read the usage of `{container}`")]
    Usage {
        container: String,
        #[source]
        source: http::Error,
    },
    /// The report of the usage is not the JSON that it should be.
    #[error("failed to parse what `{container}` reports of its usage (status {status})")]
    StrangeUsage {
        container: String,
        status: u16,
        #[source]
        source: serde_json::Error,
    },
    /// The sizes of the volumes are missing.
    #[error("`du` in `{container}` does not report the size of {path}")]
    NoSize {
        container: String,
        /// The volume's path.
        path: String,
    },
    /// The user asked to stop.
    #[error("interrupted while measuring")]
    Interrupted,
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Host(error) => Some(error),
            Self::Volumes { source, .. } => Some(source),
            Self::Wait(error) => Some(error),
            _ => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}
