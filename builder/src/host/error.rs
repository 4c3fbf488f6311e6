//! What a host failed to do.

use thiserror::Error;

use crate::advice::Advice;
use crate::process::RunError;

/// A host did not do what it was asked to.
#[derive(Debug, Error)]
#[error("{action}")]
pub(crate) struct HostError {
    /// What was to be done, with the node's name.
    pub(crate) action: String,
    #[source]
    pub(crate) source: RunError,
}

impl HostError {
    /// For `map_err`: the action that the command was part of.
    pub(crate) fn during(action: impl Into<String>) -> impl FnOnce(RunError) -> Self {
        move |source| Self { action: action.into(), source }
    }
}

impl Advice for HostError {
    fn cause(&self) -> Option<&dyn Advice> {
        Some(&self.source)
    }
}
