//! What a container is created with.

use std::ffi::OsString;
use std::path::PathBuf;

use super::args::Args;
use super::publish::Publish;

/// What a container is made from and with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ContainerSpec {
    pub(crate) image: String,
    /// The container's name; the engine invents one where there is none.
    pub(crate) name: Option<String>,
    /// Arguments after the image.
    pub(crate) command: Vec<String>,
    /// Instead of the image's entrypoint: the program. Its arguments go to `command`.
    pub(crate) entrypoint: Option<String>,
    /// All capabilities and devices.
    pub(crate) privileged: bool,
    pub(crate) env: Vec<(String, String)>,
    /// Variables whose values do not appear on any command line.
    pub(crate) secret_env: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) ports: Vec<Publish>,
    /// Network; the engine's default where there is none.
    pub(crate) network: Option<String>,
    pub(crate) hostname: Option<String>,
    /// `private` or `host`.
    pub(crate) cgroupns: Option<String>,
    /// Seconds between SIGTERM and SIGKILL when it is stopped.
    pub(crate) stop_timeout: Option<u32>,
    /// `no`, `always`, `unless-stopped`, `on-failure[:N]`.
    pub(crate) restart: Option<String>,
    /// Bound of memory, such as `4g`.
    pub(crate) memory: Option<String>,
    /// Bound of CPUs, such as `2`.
    pub(crate) cpus: Option<String>,
    /// Keep stdin open.
    pub(crate) interactive: bool,
    /// Allocate a terminal.
    pub(crate) tty: bool,
    /// `never` makes a missing image an error instead of a pull.
    pub(crate) pull: Option<String>,
    /// Where the engine's CLI writes the container's id as soon as the container exists.
    pub(crate) id_file: Option<PathBuf>,
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
