//! From "there is no engine" to one that answers: which remedy helps, and whether the user allowed it.

use std::path::Path;

use nix::unistd::Uid;

use super::dockerd::{Dockerd, START_TIMEOUT};
use super::error::InstallError;
use super::plan::install;
use crate::engine::{ENGINE_VARIABLE, Engine, EngineError};
use crate::process::{Call, Runner};

/// Whether systemd is the running init, below `root`.
#[must_use]
pub(super) fn has_systemd(root: &Path) -> bool {
    root.join("run/systemd/system").is_dir()
}

/// Starts the installed engine: through systemd where it runs, else by hand.
///
/// # Errors
/// See [`InstallError`].
pub(crate) fn start(runner: &Runner) -> Result<(), InstallError> {
    if !Uid::effective().is_root() {
        return Err(InstallError::NotRoot { action: "start dockerd" });
    }
    if has_systemd(Path::new("/")) {
        let call = Call::new("systemctl").args(["enable", "--now", "docker"]).timeout(START_TIMEOUT);
        return runner
            .run(call)
            .map_err(|source| InstallError::Command { what: "systemctl does not start docker", source });
    }
    Dockerd::default().start(runner.cancel())
}

/// Stops the dockerd that [`start`] started by hand; one that systemd started stays. The answer is false where
/// there is none of ours.
///
/// # Errors
/// See [`Dockerd::stop`].
pub(crate) fn stop_started_by_us() -> Result<bool, InstallError> {
    Dockerd::default().stop()
}

/// What [`ensure`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    /// An engine answered.
    Nothing,
    /// It was installed and is now started.
    Started,
    /// It is now installed and started.
    Installed,
}

/// What has to happen so that there is an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Start,
    Install,
}

/// Decides what helps against an error of [`Engine::detect`]. An engine that the user pointed to (`DOCKER_HOST`,
/// a context) is the user's to start, and one that is too old the user's to replace.
fn remedy(error: &EngineError, dockerd_installed: bool, named_elsewhere: bool) -> Option<Remedy> {
    if named_elsewhere {
        return None;
    }
    match error {
        EngineError::NotInstalled if dockerd_installed => None,
        EngineError::NotInstalled => Some(Remedy::Install),
        EngineError::NotAnswering { .. } if dockerd_installed => Some(Remedy::Start),
        EngineError::NotAnswering { .. } => Some(Remedy::Install),
        EngineError::NamedNotInstalled { .. }
        | EngineError::PermissionDenied { .. }
        | EngineError::TooOld { .. }
        | EngineError::Strange { .. }
        | EngineError::NoBuilder
        | EngineError::Run(_) => None,
    }
}

/// Whether the client's context leads to another engine than the one that the packages bring: Docker Desktop, a virtual
/// machine, another host.
fn names_another_socket(endpoint: &str) -> bool {
    !matches!(endpoint, "" | "unix:///var/run/docker.sock" | "unix:///run/docker.sock")
}

/// Finds an engine; where none answers and `allowed` says that the user agreed, installs or starts one.
///
/// # Errors
/// See [`InstallError`].
pub(crate) fn ensure(
    runner: &Runner,
    allowed: bool,
    mut on_line: impl FnMut(&str),
) -> Result<(Engine, Done), InstallError> {
    let error = match Engine::detect(runner.clone()) {
        Ok(engine) => return Ok((engine, Done::Nothing)),
        Err(error) => error,
    };
    let elsewhere = ["DOCKER_HOST", "DOCKER_CONTEXT", ENGINE_VARIABLE]
        .iter()
        .any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()))
        || names_another_socket(&Engine::endpoint(runner).unwrap_or_default());
    let Some(remedy) = remedy(&error, which::which("dockerd").is_ok(), elsewhere) else { return Err(error.into()) };
    let action = match remedy {
        Remedy::Start => "start dockerd",
        Remedy::Install => "install and start Docker from Debian's packages",
    };
    if !allowed {
        return Err(InstallError::NotAllowed { reason: error.to_string(), action });
    }
    on_line(action);
    if remedy == Remedy::Install {
        install(runner, &mut on_line)?;
    }
    start(runner)?;
    let done = if remedy == Remedy::Install { Done::Installed } else { Done::Started };
    Ok((Engine::detect(runner.clone())?, done))
}

/// The engine for tests that need one (`--include-ignored`). The first such test installs and starts it if necessary.
#[cfg(test)]
pub(crate) fn for_tests(runner: &Runner) -> Engine {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let found = ensure(runner, true, |line| tracing::info!("{line}"));
    found.unwrap_or_else(|error| panic!("these tests need a container engine: {error}")).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies() {
        let not_answering = || EngineError::NotAnswering { program: "docker".into(), stderr: String::new() };
        for (error, dockerd, elsewhere, expected) in [
            (EngineError::NotInstalled, false, false, Some(Remedy::Install)),
            (not_answering(), true, false, Some(Remedy::Start)),
            (not_answering(), false, false, Some(Remedy::Install)),
            (not_answering(), true, true, None),
            (EngineError::PermissionDenied { stderr: String::new() }, true, false, None),
        ] {
            assert_eq!(remedy(&error, dockerd, elsewhere), expected, "{error}");
        }
        assert!(names_another_socket("unix:///home/u/.docker/desktop/docker.sock"));
        assert!(!names_another_socket("unix:///var/run/docker.sock") && !names_another_socket(""));
    }
}
