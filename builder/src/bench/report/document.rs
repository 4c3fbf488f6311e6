//! The JSON document of what was measured.

use serde::Serialize;

use super::measurements::Measurements;
use super::units::{Bytes, Unit};
use crate::engine::{EngineFacts, Flavour, Location};

/// Everything that `kubake bench` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// When it began (RFC 3339).
    pub date: String,
    /// What it ran on.
    pub machine: Machine,
    /// What was done.
    pub plan: Plan,
    /// What was found, by image in the order in which they were named.
    pub images: Vec<Measurements>,
    /// Clusters that booted at once; none where that was not asked for.
    pub parallel: Option<Parallel>,
}

/// The machine, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Processors.
    pub cores: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// The architecture.
    pub architecture: String,
    /// The distribution.
    pub operating_system: String,
    /// The kernel's release.
    pub kernel: String,
    /// Such as `docker 28.2.2`.
    pub engine: String,
    /// 1 or 2; 0 where the engine does not say.
    pub cgroup_version: u8,
    /// `systemd` or `cgroupfs`.
    pub cgroup_driver: String,
    /// Such as `overlay2`.
    pub storage_driver: String,
    /// The file system under it; empty where the engine does not say.
    pub backing_filesystem: String,
    /// How many processes wanted to run in the minute before; none where the engine runs on another kernel.
    pub load_before: Option<f64>,
}

impl Machine {
    /// From what the engine says.
    #[must_use]
    pub fn new(facts: &EngineFacts, load: f64) -> Self {
        let flavour = match facts.flavour {
            Flavour::Docker => "docker",
            Flavour::Podman => "podman",
        };
        Self {
            cores: facts.cpus,
            memory_bytes: facts.memory,
            architecture: facts.arch.clone(),
            operating_system: facts.operating_system.clone(),
            kernel: facts.kernel.clone(),
            engine: format!("{flavour} {}", facts.version),
            cgroup_version: facts.cgroup_version,
            cgroup_driver: facts.cgroup_driver.clone(),
            storage_driver: facts.storage_driver.clone(),
            backing_filesystem: facts.backing_filesystem.clone(),
            load_before: (facts.location == Location::Here).then_some(load),
        }
    }

    pub(super) fn line(&self) -> String {
        let filesystem =
            if self.backing_filesystem.is_empty() { String::new() } else { format!(" on {}", self.backing_filesystem) };
        let load = self.load_before.map(|load| format!(", load {load:.1} before")).unwrap_or_default();
        format!(
            "{} cores, {} memory, kernel {}, {}, cgroup v{}, {}{filesystem}{load}",
            self.cores,
            Unit::Bytes.text(Bytes(self.memory_bytes).into()),
            self.kernel,
            self.engine,
            self.cgroup_version,
            self.storage_driver,
        )
    }
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Runs of each image.
    pub runs: usize,
    /// How long each idle cluster was watched.
    pub idle_seconds: u64,
    /// Whether each was started once more after its stop.
    pub restart: bool,
}

/// Clusters of one image that booted at once.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parallel {
    /// The image.
    pub image: String,
    /// How many.
    pub clusters: usize,
    /// From the common start until each was ready, the first to be ready first.
    pub ready_seconds: Vec<f64>,
    /// From the common start until all were.
    pub all_ready_seconds: f64,
}
