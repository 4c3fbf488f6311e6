//! Containers: create, run, start, stop, remove, wait, inspect, list and commit.

use std::ffi::OsString;
use std::time::Duration;

use super::args::Args;
use super::container_spec::ContainerSpec;
use super::engine_command::{EngineCommand, SLOW};
use super::filter::Filter;

/// `create`; answers with the id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Create(pub ContainerSpec);

impl EngineCommand for Create {
    fn args(&self) -> Vec<OsString> {
        self.0.add_to(Args::of(&["create"])).0
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.0.secrets()
    }

    fn timeout(&self) -> Option<Duration> {
        // The engine pulls by default.
        if self.0.pull.as_deref() == Some("never") { Some(SLOW) } else { None }
    }
}

/// `run`; detached it answers with the id, else it lives as long as the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) spec: ContainerSpec,
    /// Return as soon as it is started.
    pub(crate) detach: bool,
    /// Remove it with its volumes when it has ended.
    pub(crate) remove: bool,
}

impl EngineCommand for Run {
    fn args(&self) -> Vec<OsString> {
        self.spec.add_to(Args::of(&["run"]).flag("--detach", self.detach).flag("--rm", self.remove)).0
    }

    fn secret_env(&self) -> Vec<(OsString, OsString)> {
        self.spec.secrets()
    }

    fn timeout(&self) -> Option<Duration> {
        if self.detach && self.spec.pull.as_deref() == Some("never") { Some(SLOW) } else { None }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Start {
    /// Name or id.
    pub(crate) container: String,
    /// Stay, with the container's stdout and stderr as our own, and end with its status.
    pub(crate) attach: bool,
}

impl EngineCommand for Start {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["start"]).flag("--attach", self.attach).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        if self.attach { None } else { Some(SLOW) }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stop {
    /// Name or id.
    pub(crate) container: String,
    /// Seconds before SIGKILL; the container's own where there is none.
    pub(crate) timeout: Option<u32>,
}

impl EngineCommand for Stop {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["stop"]).option("-t", self.timeout.map(|seconds| seconds.to_string())).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW + Duration::from_secs(self.timeout.unwrap_or(0).into()))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pause {
    /// Name or id.
    pub(crate) container: String,
}

impl EngineCommand for Pause {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["pause"]).word(&self.container).0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unpause {
    /// Name or id.
    pub(crate) container: String,
}

impl EngineCommand for Unpause {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["unpause"]).word(&self.container).0
    }
}

/// `rm --force --volumes`: ends the container, and removes it with its anonymous volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoveContainer {
    /// Names or ids.
    pub(crate) containers: Vec<String>,
}

impl EngineCommand for RemoveContainer {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["rm", "--force", "--volumes"]).words(&self.containers).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}

/// `wait`; answers with the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Name or id.
    pub(crate) container: String,
    pub(crate) timeout: Option<Duration>,
}

impl EngineCommand for Wait {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["wait"]).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerInspect {
    /// Names or ids.
    pub(crate) containers: Vec<String>,
}

impl EngineCommand for ContainerInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["container", "inspect"]).words(&self.containers).0
    }
}

/// `container inspect --size`; answers with the bytes of the container's own layer, which is what its files in no
/// volume and no image take, or with `null` where the engine does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ContainerSize {
    /// Name or id.
    pub(crate) container: String,
}

impl EngineCommand for ContainerSize {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["container", "inspect", "--size", "--format", "{{json .SizeRw}}"]).word(&self.container).0
    }

    fn timeout(&self) -> Option<Duration> {
        // It walks through the layer's files.
        Some(SLOW)
    }
}

/// `ps`, one full id a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerList {
    /// Also those that do not run.
    pub(crate) all: bool,
    pub(crate) filters: Vec<Filter>,
}

impl EngineCommand for ContainerList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["ps", "--quiet", "--no-trunc"]).flag("--all", self.all).filters(&self.filters).0
    }
}

/// `commit`; answers with the image's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    /// Name or id.
    pub(crate) container: String,
    /// The image's name.
    pub(crate) image: String,
    /// `Dockerfile` instructions such as `ENTRYPOINT ["/kubake-init"]`.
    pub(crate) changes: Vec<String>,
    /// The history's remark.
    pub(crate) message: Option<String>,
    /// Freeze the container meanwhile. Of no use for one that has stopped.
    pub(crate) pause: bool,
}

impl EngineCommand for Commit {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["commit"])
            .word(format!("--pause={}", self.pause))
            .option("--message", self.message.as_ref())
            .each("--change", &self.changes)
            .word(&self.container)
            .word(&self.image)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        // Gigabytes on a slow disk.
        Some(Duration::from_secs(1800))
    }
}
