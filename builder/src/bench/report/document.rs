//! The JSON document of a measurement.

use serde::Serialize;

use super::measurements::Measurements;
use super::units::{Bytes, Unit};
use crate::engine::{EngineFacts, Location};

/// The result of `kubake bench`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Start of the measurement (RFC 3339).
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) plan: Plan,
    /// One entry for each image, in the order of the command line.
    pub(crate) images: Vec<Measurements>,
    /// The clusters that booted in parallel; `None` if the plan has none.
    pub(crate) parallel: Option<Parallel>,
}

/// The machine, as the engine describes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) cores: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) architecture: String,
    pub(crate) operating_system: String,
    pub(crate) kernel: String,
    /// For example `docker 28.2.2`.
    pub(crate) engine: String,
    /// 1 or 2; 0 if the engine does not report it.
    pub(crate) cgroup_version: u8,
    /// `systemd` or `cgroupfs`.
    pub(crate) cgroup_driver: String,
    /// For example `overlay2`.
    pub(crate) storage_driver: String,
    /// Whether the engine reports the size of packed layers, as it does with containerd's store.
    pub(crate) counts_packed_images: bool,
    /// The file system under the storage driver; empty if the engine does not report it.
    pub(crate) backing_filesystem: String,
    /// Load average of the minute before; `None` if the engine runs on another kernel.
    pub(crate) load_before: Option<f64>,
}

impl Machine {
    #[must_use]
    pub(crate) fn new(facts: &EngineFacts, load: f64) -> Self {
        Self {
            cores: facts.cpus,
            memory_bytes: facts.memory,
            architecture: facts.arch.clone(),
            operating_system: facts.operating_system.clone(),
            kernel: facts.kernel.clone(),
            engine: format!("{} {}", facts.flavour.command(), facts.version),
            cgroup_version: facts.cgroup_version,
            cgroup_driver: facts.cgroup_driver.clone(),
            storage_driver: facts.storage_driver.clone(),
            counts_packed_images: facts.containerd_snapshotter,
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

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) runs: usize,
    /// How long each idle cluster was observed.
    pub(crate) idle_seconds: u64,
    /// Whether each container was started again after its stop.
    pub(crate) restart: bool,
}

/// Clusters of one image that booted in parallel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Parallel {
    pub(crate) image: String,
    pub(crate) clusters: usize,
    /// Seconds from the common start until each was ready, ascending.
    pub(crate) ready_seconds: Vec<f64>,
    /// Seconds from the common start until all were ready.
    pub(crate) all_ready_seconds: f64,
}
