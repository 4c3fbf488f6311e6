//! The state of a running node that its phases share.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::Ipv4Net;
use kubake_contract::{ClusterSettings, Node, paths};
use tokio_util::sync::CancellationToken;

use crate::boot_options::BootOptions;
use crate::host::preflight::Facts;
use crate::net;
use crate::own_hosts::OwnHosts;
use crate::status::Board;
use crate::supervisor::Supervisor;

/// A running node: its settings, what was found out about its host, and what was set up so far.
#[derive(Debug)]
pub(crate) struct NodeRuntime {
    pub settings: ClusterSettings,
    pub node: Node,
    /// Receives the state of this boot.
    pub board: Board,
    pub supervisor: Supervisor,
    pub facts: Facts,
    pub boot_options: BootOptions,
    /// The names under which callers without credentials may reach this container.
    pub own_hosts: OwnHosts,
    /// MTU of the interface that leads out of the container.
    pub mtu: u32,
    /// The container's own addresses; known once the network is attached.
    pub addresses: Vec<IpAddr>,
    /// The networks of the container; known once the network is attached.
    pub networks: Vec<Ipv4Net>,
    /// The address of another engine's bridge that this container sees.
    pub docker_bridge: Option<Ipv4Net>,
    /// The changes to the network that a stop takes back.
    pub(super) attached: Option<net::Plan>,
    /// Ends the side services (DNS forwarder, Docker API on TCP) when it is cancelled.
    pub shutdown: CancellationToken,
}

impl NodeRuntime {
    /// Creates the state before the first step.
    #[must_use]
    pub(crate) fn new(
        settings: ClusterSettings,
        board: Board,
        facts: Facts,
        boot_options: BootOptions,
        own_hosts: OwnHosts,
        shutdown: CancellationToken,
    ) -> Self {
        let supervisor = Supervisor::new(board.clone(), PathBuf::from(paths::LOGS), PathBuf::from(paths::RUN));
        let node = Node::control_plane(&settings);
        Self {
            settings,
            node,
            board,
            supervisor,
            facts,
            boot_options,
            own_hosts,
            mtu: 1500,
            networks: Vec::new(),
            docker_bridge: None,
            addresses: Vec::new(),
            attached: None,
            shutdown,
        }
    }
}
