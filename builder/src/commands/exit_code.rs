//! How the program ends: the exit code of every failure, and what the user reads about it.

use super::Error;
use crate::advice::Advice;
use crate::printer::{Printer, chain};
use crate::versions::Error as VersionError;

/// Exit codes of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitCode {
    Ok = 0,
    /// The command failed.
    Failed = 1,
    /// The arguments or settings are wrong; nothing was touched (`EX_USAGE`).
    Usage = 64,
    /// The user interrupted the command (128 + SIGINT).
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl From<&Error> for ExitCode {
    fn from(error: &Error) -> Self {
        match error {
            Error::Settings(_)
            | Error::Token(_)
            | Error::HookSecrets(_)
            | Error::NoName { .. }
            | Error::OneName { .. } => Self::Usage,
            Error::Bake(crate::bake::Error::Version(VersionError::NotPinned { .. })) => Self::Usage,
            Error::Cluster(error) if error.is_usage() => Self::Usage,
            Error::Bench(crate::bench::Error::OtherMachine { .. }) => Self::Usage,
            error if error.is_interrupted() => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Prints why the command failed; returns the exit code.
#[must_use]
pub(crate) fn report(error: &Error, printer: &Printer) -> ExitCode {
    let code = ExitCode::from(error);
    if code == ExitCode::Interrupted {
        // The user knows the reason; `-v` shows the command that was interrupted.
        printer.detail(chain(error));
        let leftover = error.leftover();
        printer.line(leftover.as_deref().unwrap_or("interrupted; changes were rolled back"));
        return code;
    }
    if matches!(error, Error::Unhealthy) {
        // The report of `doctor` is the message.
        return code;
    }
    printer.error(error);
    if let Some(hint) = error.hint() {
        printer.hint(hint);
    }
    code
}
