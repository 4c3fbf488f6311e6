//! Failures of hooks, with what a user can do about each.

use kubake_contract::hooks::{FindError, SecretsError};

use crate::command::CommandError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error(
        "hook {hook} cannot be started; its first line must name an interpreter that the image has, such as `#!/bin/sh`"
    )]
    Start {
        /// Moment and file, such as `before-boot/10-proxy`.
        hook: String,
        source: CommandError,
    },
    #[error("hook {hook} failed; give hooks more time with {setting} if it only needs longer")]
    TimedOut {
        hook: String,
        /// The variable or option that limits the hook's time.
        setting: &'static str,
        source: CommandError,
    },
    /// The hook ended with a status other than 0, or by a signal.
    #[error("hook {hook} failed; its output says why")]
    Failed { hook: String, source: CommandError },
}
