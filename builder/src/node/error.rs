//! Why a node is not ready.

use std::time::Duration;

use thiserror::Error;

use crate::advice::Advice;
use crate::printer::seconds;
use crate::process::RunError;

/// Why the cluster is not ready.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The container ended.
    #[error("the container `{container}` ended with status {code} before the cluster was ready{}", log_text(.log))]
    Ended {
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// It took too long.
    #[error("the cluster `{container}` is not ready after {}: {missing}{}", seconds(*.after), log_text(.log))]
    TimedOut {
        /// The container's name.
        container: String,
        after: Duration,
        /// What it says is missing.
        missing: String,
        /// The end of its log.
        log: String,
    },
    /// The user asked to stop.
    #[error("interrupted while waiting for the cluster")]
    Interrupted,
    /// The container cannot be watched.
    #[error("failed to watch the container `{container}`")]
    Watch {
        container: String,
        #[source]
        source: RunError,
    },
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Watch { source, .. } => Some(source),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Ended { .. } => Some(
                "keep the container with `--retain` to look into it; `kubake doctor` checks this machine".to_owned(),
            ),
            Self::TimedOut { .. } => {
                Some("give it more time with `--ready-timeout 10m`; `kubake doctor` checks this machine".to_owned())
            }
            Self::Interrupted | Self::Watch { .. } => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

pub(crate) fn log_text(log: &str) -> String {
    log.lines().map(|line| format!("\n  | {line}")).collect()
}
