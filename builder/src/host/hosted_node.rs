//! A node as its host sees it.

use std::collections::BTreeMap;

use crate::engine::{Container, Published};
use crate::port::Protocol;

/// A node as its host saw it at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostedNode {
    /// What the host knows the node by: the container's id.
    pub(crate) id: String,
    /// The container's name.
    pub(crate) name: String,
    /// The name of the image that the node was created from.
    pub(crate) image: String,
    /// The id of that image.
    pub(crate) image_id: String,
    pub(crate) state: NodeState,
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether the node shares its host's network: its ports are the host's, and none is published.
    pub(crate) is_in_host_network: bool,
    /// Published ports, sorted by container port; empty while the node does not run.
    pub(crate) ports: Vec<Published>,
    /// Where the node sees its volumes, sorted.
    pub(crate) volumes: Vec<String>,
}

/// The state of a node, as far as its host knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NodeState {
    Running,
    Paused,
    /// The node was created and did not start, or it ended.
    Stopped {
        /// The exit code of the last run; 0 where the node never ran.
        exit_code: i64,
    },
    /// The node is in between, in the host's own word: `restarting`, `removing`, `dead`.
    Other(String),
}

impl NodeState {
    /// The state in one word, as engines name it.
    #[must_use]
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped { .. } => "stopped",
            Self::Other(word) => word,
        }
    }
}

impl HostedNode {
    /// The host port of a TCP port of the node; the first where there are several.
    #[must_use]
    pub(crate) fn published(&self, container_port: u16) -> Option<&Published> {
        self.ports.iter().find(|port| port.container_port == container_port && port.protocol == Protocol::Tcp)
    }
}

impl From<Container> for HostedNode {
    fn from(container: Container) -> Self {
        let state = match container.state.status.as_str() {
            "paused" => NodeState::Paused,
            // Podman's words for a container that never ran are `configured` and `initialized`.
            _ if container.state.running => NodeState::Running,
            "exited" | "created" | "configured" | "initialized" => {
                NodeState::Stopped { exit_code: container.state.exit_code }
            }
            other => NodeState::Other(other.to_owned()),
        };
        let mounts = container.mounts.into_iter();
        let mut volumes: Vec<String> =
            mounts.filter(|mount| mount.kind == "volume").map(|mount| mount.destination).collect();
        volumes.sort();
        Self {
            id: container.id,
            name: container.name,
            image: container.image,
            image_id: container.image_id,
            state,
            is_in_host_network: container.is_in_host_network,
            labels: container.labels,
            ports: container.ports,
            volumes,
        }
    }
}
