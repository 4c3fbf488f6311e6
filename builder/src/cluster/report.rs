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
    pub(crate) container: u16,
    pub(crate) protocol: Protocol,
    /// The host's address, where the engine says it.
    pub(crate) host_ip: Option<IpAddr>,
    /// The host's port.
    pub(crate) host: u16,
}

/// A cluster that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    pub(crate) name: String,
    /// The container's id.
    pub(crate) container_id: String,
    /// The image it runs.
    pub(crate) image: String,
    /// Where its ports are published.
    pub(crate) ports: Vec<Port>,
    /// Where its HTTP port answers.
    pub(crate) endpoint: String,
    /// The same for browsers; none where that is not published.
    pub(crate) page: Option<String>,
    /// Where its API server answers; none where that is not published.
    pub(crate) server: Option<String>,
    /// The kubeconfig that has its context; none where none was to be written.
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: String,
    /// Whether the context is the current one.
    pub(crate) current: bool,
    /// Milliseconds of the boot; none where it was up before.
    pub(crate) ready_after_ms: Option<u64>,
    /// Whether it was running already.
    pub(crate) already_running: bool,
}

/// What `down` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Down {
    /// The cluster's name.
    pub(crate) name: String,
    /// Whether there was a container.
    pub(crate) container: bool,
    /// Named volumes that were removed.
    pub(crate) volumes: Vec<String>,
    /// Whether the kubeconfig had its context.
    pub(crate) context: bool,
}
