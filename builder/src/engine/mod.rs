//! Owns the container engine: finding its CLI, knowing what it can do, and asking it for things. All engine access
//! of `kubake` goes through [`Engine`]; no other module writes engine arguments. It never speaks the engine's API:
//! the CLI honours contexts, remote engines, credentials and proxies as the user set them up.

pub mod command;
pub mod facts;
pub mod guard;
pub mod inspect;

use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::advice::Advice;

pub use crate::process::{Call, Cancel, Ended, Input, Line, RunError, Runner, Stream};
pub use command::{Builder, EngineCommand};
pub use facts::{EngineFacts, Flavour, Location};
pub use guard::{ContainerGuard, ImageGuard, TempFile};
pub use inspect::{Container, Image};

/// Names the engine's program, or its path.
pub const ENGINE_VARIABLE: &str = "KUBAKE_ENGINE";
/// Programs that are looked for, in this order.
const PROGRAMS: [&str; 2] = ["docker", "podman"];

/// Why there is no engine to work with.
#[derive(Debug, Error)]
pub enum EngineError {
    /// No CLI.
    #[error(
        "no container engine: neither `docker` nor `podman` is on PATH; install one (`kubake engine install --yes` does it on Debian and Ubuntu)"
    )]
    NotInstalled,
    /// `KUBAKE_ENGINE` names something that is not there.
    #[error("`{program}`, which {ENGINE_VARIABLE} names, is not an executable; correct or unset {ENGINE_VARIABLE}")]
    NamedNotInstalled {
        /// The value.
        program: String,
    },
    /// The CLI works, the daemon does not answer.
    #[error(
        "the engine behind `{program}` does not answer: {}; start it (`systemctl start docker`, or `kubake engine start`), or correct DOCKER_HOST or the context", .stderr.trim()
    )]
    NotAnswering {
        /// The CLI.
        program: String,
        /// What it says.
        stderr: String,
    },
    /// The daemon's socket is not for this user.
    #[error(
        "no permission to use the engine's socket: {}; run `sudo usermod -aG docker $USER` and log in again, or use sudo", .stderr.trim()
    )]
    PermissionDenied {
        /// What the CLI says.
        stderr: String,
    },
    /// Too old.
    #[error("`{program}` {version} is too old; kubake needs {needed} or newer, upgrade it")]
    TooOld {
        /// The CLI.
        program: String,
        /// The engine's version.
        version: String,
        /// The oldest that works.
        needed: u32,
    },
    /// The answer to `info` has no version.
    #[error("`{program} info` answered what kubake does not understand; is `{program}` really docker or podman?")]
    Strange {
        /// The CLI.
        program: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Nothing builds images here.
    #[error(
        "the docker CLI has no buildx, which builds images; install the package docker-buildx (Docker's own packages: docker-buildx-plugin)"
    )]
    NoBuilder,
    /// Anything else.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Advice for EngineError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Run(error) => Some(error),
            _ => None,
        }
    }
}

impl EngineError {
    /// Whether a start of the daemon may help.
    #[must_use]
    pub fn is_not_answering(&self) -> bool {
        matches!(self, Self::NotAnswering { .. })
    }
}

/// A container engine's CLI with what its daemon said of itself. Cheap enough to clone.
#[derive(Debug, Clone)]
pub struct Engine {
    program: PathBuf,
    facts: EngineFacts,
    runner: Runner,
}

impl Engine {
    /// Finds the CLI (`KUBAKE_ENGINE`, else `docker`, else `podman`) and asks its daemon what it is.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn detect(runner: Runner) -> Result<Self, EngineError> {
        let program = find_program(std::env::var_os(ENGINE_VARIABLE).as_deref(), &|name| which::which(name).ok())?;
        Self::with_program(program, runner)
    }

    /// The same for a CLI that is already chosen.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub fn with_program(program: impl Into<PathBuf>, runner: Runner) -> Result<Self, EngineError> {
        let program = program.into();
        let name = display_name(&program);
        let answer = runner.run_captured(call(&program, &command::Info)).map_err(|error| failed_info(&name, error))?;
        let mut facts =
            facts::parse_info(&answer).map_err(|source| EngineError::Strange { program: name.clone(), source })?;
        // Some CLI versions end with 0 although the daemon said nothing.
        if facts.version.is_empty() {
            return Err(classify(&name, facts.server_errors.join("; ")));
        }
        let needed = facts.flavour.oldest_version();
        if facts.major().is_some_and(|major| major < needed) {
            return Err(EngineError::TooOld { program: name, version: facts.version, needed });
        }
        if facts.flavour == Flavour::Docker {
            // Which engine the CLI talks to is the CLI's knowledge alone; it does not ask the daemon for it.
            facts.endpoint = runner.run_captured(call(&program, &command::ContextInspect)).unwrap_or_default();
        }
        facts.location = facts::location(&facts.endpoint, &facts.kernel, &running_kernel());
        Ok(Self { program, facts, runner })
    }

    /// The CLI's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// What the engine is.
    #[must_use]
    pub fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// The runner, for programs beside the engine's.
    #[must_use]
    pub fn runner(&self) -> &Runner {
        &self.runner
    }

    /// The same engine for cleaning up after an interruption.
    #[must_use]
    pub fn for_cleanup(&self) -> Self {
        Self { runner: self.runner.for_cleanup(), ..self.clone() }
    }

    /// The host under which published ports are reached.
    #[must_use]
    pub fn published_host(&self) -> String {
        facts::published_host(&self.facts.endpoint)
    }

    /// How images are built here.
    ///
    /// # Errors
    /// [`EngineError::NoBuilder`].
    pub fn builder(&self) -> Result<Builder, EngineError> {
        self.facts.builder().ok_or(EngineError::NoBuilder)
    }

    /// A command as a [`Call`].
    #[must_use]
    pub fn call(&self, command: &impl EngineCommand) -> Call {
        call(&self.program, command)
    }

    /// Runs a command and drops its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run(&self, command: &impl EngineCommand) -> Result<(), RunError> {
        self.runner.run(self.call(command))
    }

    /// Runs a command with input and drops its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_with_input(&self, command: &impl EngineCommand, input: Input) -> Result<(), RunError> {
        self.runner.run(self.call(command).input(input))
    }

    /// Runs a command and returns its stdout without white space at the end.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_captured(&self, command: &impl EngineCommand) -> Result<String, RunError> {
        self.runner.run_captured(self.call(command))
    }

    /// Runs a command and parses its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn run_json<T: DeserializeOwned>(&self, command: &impl EngineCommand) -> Result<T, RunError> {
        self.runner.run_json(self.call(command))
    }

    /// Runs a command while `on_line` gets its output line by line; `Break` stops it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn stream(
        &self,
        command: &impl EngineCommand,
        on_line: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<Ended, RunError> {
        self.runner.stream(self.call(command), on_line)
    }

    fn parsed<T>(
        &self,
        command: &impl EngineCommand,
        parse: impl FnOnce(&str) -> serde_json::Result<Vec<T>>,
    ) -> Result<Vec<T>, RunError> {
        let call = self.call(command);
        let line = call.pasteable();
        let output = self.runner.run_captured(call)?;
        parse(&output).map_err(|source| RunError::Json { command: line, output, source })
    }

    /// An image; `None` where there is none of that name.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn image(&self, name: &str) -> Result<Option<Image>, RunError> {
        let command = command::ImageInspect { images: vec![name.to_owned()] };
        first(self.parsed(&command, inspect::parse_images))
    }

    /// All images that a list finds; each once.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn images(&self, list: &command::ImageList) -> Result<Vec<Image>, RunError> {
        let mut images = lines(&self.run_captured(list)?);
        // One line a name, and an image can have several.
        images.sort();
        images.dedup();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        self.parsed(&command::ImageInspect { images }, inspect::parse_images)
    }

    /// A container; `None` where there is none of that name.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn container(&self, name: &str) -> Result<Option<Container>, RunError> {
        let command = command::ContainerInspect { containers: vec![name.to_owned()] };
        first(self.parsed(&command, inspect::parse_containers))
    }

    /// All containers that a list finds.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn containers(&self, list: &command::ContainerList) -> Result<Vec<Container>, RunError> {
        let containers = lines(&self.run_captured(list)?);
        if containers.is_empty() {
            return Ok(Vec::new());
        }
        match self.parsed(&command::ContainerInspect { containers: containers.clone() }, inspect::parse_containers) {
            // One of them went away in between: ask for each.
            Err(error) if error.is_not_found() => {
                let each = containers.iter().filter_map(|id| self.container(id).transpose());
                each.collect()
            }
            other => other,
        }
    }

    /// Names of volumes.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn volumes(&self, list: &command::VolumeList) -> Result<Vec<String>, RunError> {
        self.run_captured(list).map(|output| lines(&output))
    }

    /// Creates a container behind a guard that removes it again unless it is told otherwise.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn create(&self, spec: command::ContainerSpec) -> Result<ContainerGuard, RunError> {
        // A name of our own, so that the guard can be armed before the call that may be interrupted.
        let name = spec.name.clone().unwrap_or_else(|| guard::unique_name("kubake"));
        let guard = ContainerGuard::new(self, &name);
        self.run(&command::Create(command::ContainerSpec { name: Some(name), ..spec }))?;
        Ok(guard)
    }

    /// Waits for a container's end and returns its exit code.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<i64, RunError> {
        self.run_json(&command::Wait { container: container.to_owned(), timeout })
    }

    /// The last lines of a container's logs, stdout and stderr as they come; for error messages.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn log_tail(&self, container: &str, lines: u32) -> Result<String, RunError> {
        let mut text = Vec::new();
        self.stream(&command::Logs::tail(container, lines), |line| {
            text.push(line.text.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(text.join("\n"))
    }
}

fn call(program: &Path, command: &impl EngineCommand) -> Call {
    let mut call = Call::new(program_word(program)).args(command.args()).timeout(command.timeout());
    for (name, value) in command.env() {
        call = call.env(name, value);
    }
    for (name, value) in command.secret_env() {
        call = call.secret_env(name, value);
    }
    call
}

/// What stands in command lines: the short name where PATH leads to the same program, for people to read.
fn program_word(program: &Path) -> OsString {
    match program.file_name() {
        Some(name) if PROGRAMS.iter().any(|known| OsStr::new(known) == name) => {
            if which::which(name).is_ok_and(|found| found == program) { name.to_owned() } else { program.into() }
        }
        _ => program.into(),
    }
}

fn display_name(program: &Path) -> String {
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

fn find_program(named: Option<&OsStr>, find: &dyn Fn(&OsStr) -> Option<PathBuf>) -> Result<PathBuf, EngineError> {
    if let Some(named) = named.filter(|named| !named.is_empty()) {
        return find(named)
            .ok_or_else(|| EngineError::NamedNotInstalled { program: named.to_string_lossy().into_owned() });
    }
    PROGRAMS.iter().find_map(|name| find(OsStr::new(name))).ok_or(EngineError::NotInstalled)
}

fn failed_info(program: &str, error: RunError) -> EngineError {
    match error {
        RunError::Failed { stderr, .. } => classify(program, stderr),
        RunError::TimedOut { after, .. } => EngineError::NotAnswering {
            program: program.to_owned(),
            stderr: format!("no answer within {} s", after.as_secs()),
        },
        other => EngineError::Run(other),
    }
}

fn classify(program: &str, stderr: String) -> EngineError {
    if stderr.to_ascii_lowercase().contains("permission denied") {
        EngineError::PermissionDenied { stderr }
    } else {
        EngineError::NotAnswering { program: program.to_owned(), stderr }
    }
}

fn running_kernel() -> String {
    nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned()).unwrap_or_default()
}

fn first<T>(found: Result<Vec<T>, RunError>) -> Result<Option<T>, RunError> {
    match found {
        Ok(found) => Ok(found.into_iter().next()),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

fn lines(output: &str) -> Vec<String> {
    output.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
