//! What a container is created with.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::Args;
use super::publish::Publish;

/// What a container is made from and with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerSpec {
    pub image: String,
    /// The container's name; the engine invents one where there is none.
    pub name: Option<String>,
    /// Arguments after the image.
    pub command: Vec<String>,
    /// Instead of the image's entrypoint: the program. Its arguments go to `command`.
    pub entrypoint: Option<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    pub env: Vec<(String, String)>,
    /// Variables whose values do not appear on any command line.
    pub secret_env: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    pub ports: Vec<Publish>,
    /// Network; the engine's default where there is none.
    pub network: Option<String>,
    pub hostname: Option<String>,
    /// `private` or `host`.
    pub cgroupns: Option<String>,
    /// Seconds between SIGTERM and SIGKILL when it is stopped.
    pub stop_timeout: Option<u32>,
    /// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
    pub restart: Option<String>,
    /// Bound of memory, such as `4g`.
    pub memory: Option<String>,
    /// Bound of CPUs, such as `2`.
    pub cpus: Option<String>,
    /// Keep stdin open.
    pub interactive: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// `never` makes a missing image an error instead of a pull.
    pub pull: Option<String>,
    /// Where the engine's CLI writes the container's id as soon as the container exists.
    pub id_file: Option<PathBuf>,
}

impl ContainerSpec {
    /// A container of an image with nothing else said.
    #[must_use]
    pub(crate) fn new(image: impl Into<String>) -> Self {
        Self { image: image.into(), ..Self::default() }
    }

    pub(super) fn add_to(&self, args: Args) -> Args {
        args.option("--name", self.name.as_ref())
            .option("--cidfile", self.id_file.as_ref())
            .flag("--privileged", self.privileged)
            .option("--pull", self.pull.as_ref())
            .option("--network", self.network.as_ref())
            .option("--hostname", self.hostname.as_ref())
            .option("--cgroupns", self.cgroupns.as_ref())
            .option("--stop-timeout", self.stop_timeout.map(|seconds| seconds.to_string()))
            .option("--restart", self.restart.as_ref())
            .option("--memory", self.memory.as_ref())
            .option("--cpus", self.cpus.as_ref())
            .flag("--interactive", self.interactive)
            .flag("--tty", self.tty)
            .pairs("--env", &self.env)
            .each("--env", self.secret_env.iter().map(|(name, _)| name))
            .pairs("--label", &self.labels)
            .each("--publish", self.ports.iter().map(Publish::to_string))
            .option("--entrypoint", self.entrypoint.as_ref())
            .word(&self.image)
            .words(&self.command)
    }

    pub(super) fn secrets(&self) -> Vec<(OsString, OsString)> {
        self.secret_env.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }
}
