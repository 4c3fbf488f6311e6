//! Reasons for which a boot fails.

use crate::hooks::HookError;
use crate::phases::PhaseError;

/// The reason for which a boot failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error(transparent)]
    Phase(#[from] PhaseError),
    /// A hook failed after the cluster was ready, and its policy is to end the boot.
    #[error(transparent)]
    Hook(#[from] HookError),
}
