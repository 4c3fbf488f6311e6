//! What `up` and `down` report, also as JSON.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Serialize;

use crate::port::Protocol;

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Port {
    /// The container's port.
    pub container: u16,
    pub protocol: Protocol,
    /// The host's address, where the engine says it.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host: u16,
}

/// A cluster that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    pub name: String,
    /// The container's id.
    pub container_id: String,
    /// The image it runs.
    pub image: String,
    /// Where its ports are published.
    pub ports: Vec<Port>,
    /// Where its HTTP port answers.
    pub endpoint: String,
    /// Where its API server answers; none where that is not published.
    pub server: Option<String>,
    /// The kubeconfig that has its context; none where none was to be written.
    pub kubeconfig: Option<PathBuf>,
    pub context: String,
    /// Whether the context is the current one.
    pub current: bool,
    /// Milliseconds of the boot; none where it was up before.
    pub ready_after_ms: Option<u64>,
    /// Whether it was running already.
    pub already_running: bool,
}

/// What `down` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Down {
    /// The cluster's name.
    pub name: String,
    /// Whether there was a container.
    pub container: bool,
    /// Named volumes that were removed.
    pub volumes: Vec<String>,
    /// Whether the kubeconfig had its context.
    pub context: bool,
}
