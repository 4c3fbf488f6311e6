//! Which program is the engine's CLI, and what its failure to answer means.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::error::EngineError;
use crate::process::RunError;

/// Programs that are looked for, in this order.
const PROGRAMS: [&str; 2] = ["docker", "podman"];

/// What stands in command lines: the short name where PATH leads to the same program, for people to read.
pub(super) fn program_word(program: &Path) -> OsString {
    match program.file_name() {
        Some(name) if PROGRAMS.iter().any(|known| OsStr::new(known) == name) => {
            if which::which(name).is_ok_and(|found| found == program) { name.to_owned() } else { program.into() }
        }
        _ => program.into(),
    }
}

pub(super) fn display_name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

pub(super) fn find_program(
    named: Option<&OsStr>,
    find: &dyn Fn(&OsStr) -> Option<PathBuf>,
) -> Result<PathBuf, EngineError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return find(named)
            .ok_or_else(|| EngineError::NamedNotInstalled { program: named.to_string_lossy().into_owned() });
    }
    PROGRAMS.iter().find_map(|name| find(OsStr::new(name))).ok_or(EngineError::NotInstalled)
}

pub(super) fn failed_info(program: &str, error: RunError) -> EngineError {
    match error {
        RunError::Failed { stderr, .. } => classify(program, stderr),
        RunError::TimedOut { after, .. } => EngineError::NotAnswering {
            program: program.to_owned(),
            stderr: format!("no answer within {} s", after.as_secs()),
        },
        other => EngineError::Run(other),
    }
}

pub(super) fn classify(program: &str, stderr: String) -> EngineError {
    if stderr.to_ascii_lowercase().contains("permission denied") {
        EngineError::PermissionDenied { stderr }
    } else {
        EngineError::NotAnswering { program: program.to_owned(), stderr }
    }
}

pub(super) fn running_kernel() -> String {
    nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}
