//! A command of the engine's CLI: what each command value turns into, and the time bounds they share.

use std::ffi::OsString;
use std::time::Duration;

/// Bound for commands that only read or change little.
pub(super) const QUICK: Duration = Duration::from_secs(60);

/// Bound for commands that remove or stop something on a machine that may be busy.
pub(super) const SLOW: Duration = Duration::from_secs(300);

/// A command of the engine's CLI.
pub(crate) trait EngineCommand {
    /// The arguments after the program's name.
    fn args(&self) -> Vec<OsString>;

    /// Variables that the command line shows.
    fn env(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// Variables that the command line does not show.
    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        Vec::new()
    }

    /// How long it may take.
    fn timeout(&self) -> Option<Duration> {
        Some(QUICK)
    }
}
