//! A daemon as data.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// What the supervisor needs to run a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Name in `/status` and of the log file.
    pub name: &'static str,
    /// Absolute path of the program.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// Variables in addition to the inherited ones.
    pub env: Vec<(OsString, OsString)>,
    /// Time between SIGTERM and SIGKILL.
    pub stop_timeout: Duration,
    /// Whether it is given up when it ends again and again before it has ever served. Otherwise it is started again, slowly.
    pub is_given_up: bool,
    /// Niceness, 0 to 19: daemons that the boot does not wait for leave the processor to the others.
    pub nice: i32,
}
