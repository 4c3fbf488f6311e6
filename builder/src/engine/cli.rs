//! The engine's command line and what its daemon says of itself: detects both, and runs commands.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::command::{self, Builder, EngineCommand};
use super::error::{ENGINE_VARIABLE, EngineError};
use super::facts::{self, EngineFacts, Flavour, Location};
use super::find::{classify, display_name, failed_info, find_program, program_word, running_kernel};
use super::inspect::{self, Container, Image};
use super::sibling::own_container;
use crate::process::{Call, Ended, Input, Line, RunError, Runner};

/// Time for ssh to read its configuration.
const SSH_TIMEOUT: Duration = Duration::from_secs(10);

/// A container engine's CLI with what its daemon said of itself. Cheap enough to clone.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    program: PathBuf,
    facts: EngineFacts,
    runner: Runner,
}

impl Engine {
    /// Finds the CLI (`KUBAKE_ENGINE`, else `docker`, else `podman`) and asks its daemon what it is.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(crate) fn detect(runner: Runner) -> Result<Self, EngineError> {
        let program = find_program(std::env::var_os(ENGINE_VARIABLE).as_deref(), &|name| which::which(name).ok())?;
        Self::with_program(program, runner)
    }

    /// What the client would talk to, asked without the daemon; `None` where there is no client or it does not say.
    pub(crate) fn endpoint(runner: &Runner) -> Option<String> {
        let program =
            find_program(std::env::var_os(ENGINE_VARIABLE).as_deref(), &|name| which::which(name).ok()).ok()?;
        let answer = runner.run_captured(call(&program, &command::ContextInspect)).ok()?;
        answer.split_whitespace().next().map(str::to_owned)
    }

    /// The same for a CLI that is already chosen.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub(crate) fn with_program(program: impl Into<PathBuf>, runner: Runner) -> Result<Self, EngineError> {
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
            // Only the CLI knows which engine it talks to; this does not need the daemon.
            let answer = runner.run_captured(call(&program, &command::ContextInspect)).unwrap_or_default();
            let mut words = answer.split_whitespace().map(str::to_owned);
            facts.endpoint = words.next().unwrap_or_default();
            facts.context = words.next().unwrap_or_default();
        }
        facts.location = facts::location(&facts.endpoint, &facts.kernel, &running_kernel());
        if facts.endpoint.starts_with("ssh://") {
            facts.ssh_host = ssh_host(&runner, &facts::published_host(&facts.endpoint));
        }
        let mut engine = Self { program, facts, runner };
        engine.facts.own_gateway = engine.own_gateway();
        Ok(engine)
    }

    /// The engine's machine as seen from this process, if it runs in a container of the engine.
    fn own_gateway(&self) -> Option<IpAddr> {
        if self.facts.location != Location::Here {
            return None;
        }
        let id = own_container(&std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())?;
        // An engine of its own inside of a container does not know that container.
        let container = self.container(&id).ok()??;
        if container.is_in_host_network {
            return None;
        }
        container.networks.values().find_map(|network| network.gateway.parse().ok())
    }

    /// The CLI's path.
    #[must_use]
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// What the engine is.
    #[must_use]
    pub(crate) fn facts(&self) -> &EngineFacts {
        &self.facts
    }

    /// The runner, for programs beside the engine's.
    #[must_use]
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// The same engine for cleaning up after an interruption.
    #[must_use]
    pub(crate) fn for_cleanup(&self) -> Self {
        Self { runner: self.runner.for_cleanup(), ..self.clone() }
    }

    /// The host under which published ports are reached.
    #[must_use]
    pub(crate) fn published_host(&self) -> String {
        let facts = &self.facts;
        let gateway = facts.own_gateway.map(|gateway| gateway.to_string());
        gateway.or_else(|| facts.ssh_host.clone()).unwrap_or_else(|| facts::published_host(&facts.endpoint))
    }

    /// How images are built here.
    ///
    /// # Errors
    /// [`EngineError::NoBuilder`].
    pub(crate) fn builder(&self) -> Result<Builder, EngineError> {
        self.facts.builder().ok_or(EngineError::NoBuilder)
    }

    /// A name of an image as it was given: podman puts `localhost/` before names without a registry.
    #[must_use]
    pub(crate) fn name_as_given<'a>(&self, name: &'a str) -> &'a str {
        match self.facts.flavour {
            Flavour::Docker => name,
            Flavour::Podman => name.strip_prefix("localhost/").unwrap_or(name),
        }
    }

    /// Saves images, given by name, into an archive.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn save(&self, output: &Path, images: Vec<String>) -> Result<(), RunError> {
        let multi_image = self.facts.flavour == Flavour::Podman;
        self.run(&command::Save { output: output.to_owned(), images, multi_image })
    }

    /// The instance of buildx that belongs to the engine; none where the CLI does not name its context.
    #[must_use]
    pub(crate) fn builder_instance(&self) -> Option<String> {
        Some(self.facts.context.clone()).filter(|name| !name.is_empty())
    }

    /// A command as a [`Call`].
    #[must_use]
    pub(crate) fn call(&self, command: &impl EngineCommand) -> Call {
        call(&self.program, command)
    }

    /// Runs a command and drops its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run(&self, command: &impl EngineCommand) -> Result<(), RunError> {
        self.runner.run(self.call(command))
    }

    /// Runs a command with input and drops its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run_with_input(&self, command: &impl EngineCommand, input: Input) -> Result<(), RunError> {
        self.runner.run(self.call(command).input(input))
    }

    /// Runs a command and returns its stdout without white space at the end.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run_captured(&self, command: &impl EngineCommand) -> Result<String, RunError> {
        self.runner.run_captured(self.call(command))
    }

    /// Runs a command and parses its stdout.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn run_json<T: DeserializeOwned>(&self, command: &impl EngineCommand) -> Result<T, RunError> {
        self.runner.run_json(self.call(command))
    }

    /// Runs a command while `on_line` gets its output line by line; `Break` stops it.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn stream(
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
    pub(crate) fn image(&self, name: &str) -> Result<Option<Image>, RunError> {
        let command = command::ImageInspect { images: vec![name.to_owned()] };
        first(self.parsed(&command, inspect::parse_images))
    }

    /// All images that a list finds; each once.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn images(&self, list: &command::ImageList) -> Result<Vec<Image>, RunError> {
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
    pub(crate) fn container(&self, name: &str) -> Result<Option<Container>, RunError> {
        let command = command::ContainerInspect { containers: vec![name.to_owned()] };
        first(self.parsed(&command, inspect::parse_containers))
    }

    /// All containers that a list finds.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn containers(&self, list: &command::ContainerList) -> Result<Vec<Container>, RunError> {
        let containers = lines(&self.run_captured(list)?);
        if containers.is_empty() {
            return Ok(Vec::new());
        }
        match self.parsed(&command::ContainerInspect { containers: containers.clone() }, inspect::parse_containers) {
            // One of them was removed meanwhile: inspect each.
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
    pub(crate) fn volumes(&self, list: &command::VolumeList) -> Result<Vec<String>, RunError> {
        self.run_captured(list).map(|output| lines(&output))
    }

    /// Waits for a container's end and returns its exit code.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn wait(&self, container: &str, timeout: Option<Duration>) -> Result<i64, RunError> {
        self.run_json(&command::Wait { container: container.to_owned(), timeout })
    }

    /// The last lines of a container's logs, stdout and stderr as they come; for error messages.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn log_tail(&self, container: &str, lines: u32) -> Result<String, RunError> {
        let mut text = Vec::new();
        self.stream(&command::Logs::tail(container, lines), |line| {
            text.push(line.text.to_owned());
            ControlFlow::Continue(())
        })?;
        Ok(text.join("\n"))
    }
}

/// What ssh connects to for a host, which may be an alias in its configuration. Connects nowhere.
fn ssh_host(runner: &Runner, host: &str) -> Option<String> {
    let call = Call::new("ssh").args(["-G", "--", host]).timeout(SSH_TIMEOUT);
    facts::ssh_hostname(&runner.run_captured(call).ok()?).map(str::to_owned)
}

pub(super) fn call(program: &Path, command: &impl EngineCommand) -> Call {
    let mut call = Call::new(program_word(program)).args(command.args()).timeout(command.timeout());
    for (name, value) in command.env() {
        call = call.env(name, value);
    }
    for (name, value) in command.secret_env() {
        call = call.secret_env(name, value);
    }
    call
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
