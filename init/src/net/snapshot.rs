//! The interfaces, addresses and routes that exist, as far as conflicts need them. Pure.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::cni::interfaces;

/// The loopback interface, which carries the node's address.
pub(super) const LOOPBACK: &str = "lo";

/// The interface of the default route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Uplink {
    /// Name of the interface, such as `eth0`.
    pub interface: String,
    /// Largest packet in bytes; pods and inner Docker networks must not exceed it.
    pub mtu: u32,
    /// The gateway, if the route has one.
    pub gateway: Option<Ipv4Addr>,
}

/// A route, with the fields that conflicts need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub destination: Ipv4Net,
    /// Name of the outgoing interface.
    pub interface: String,
    /// The next hop; `None` when the network is connected.
    pub gateway: Option<Ipv4Addr>,
    /// The route with the lowest metric wins among those to the same destination.
    pub metric: u32,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}", self.destination)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        write!(f, " dev {}", self.interface)
    }
}

impl Route {
    /// Whether it is a default route, or one of the two halves that VPN clients add in its place.
    fn is_default(&self) -> bool {
        self.destination.prefix_len() <= 1
    }

    /// Whether it leads to a network outside the cluster other than by default.
    pub(super) fn is_foreign(&self) -> bool {
        self.interface != LOOPBACK && self.interface != interfaces::BRIDGE && !self.is_default()
    }
}

/// The kernel's tables at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Snapshot {
    /// MTU by interface name.
    pub(super) links: HashMap<String, u32>,
    /// Addresses with their interfaces.
    pub(super) addresses: Vec<(Ipv4Addr, String)>,
    /// Unicast routes of the main table.
    pub(super) routes: Vec<Route>,
}

impl Snapshot {
    pub(super) fn uplink(&self) -> Option<Uplink> {
        let route = self
            .routes
            .iter()
            .filter(|route| route.is_default() && route.interface != LOOPBACK)
            .min_by_key(|route| (route.destination.prefix_len(), route.metric))?;
        Some(Uplink {
            interface: route.interface.clone(),
            mtu: self.links.get(&route.interface).copied()?,
            gateway: route.gateway,
        })
    }

    /// Networks outside the cluster whose members are reached without a gateway.
    pub(super) fn connected(&self) -> impl Iterator<Item = Ipv4Net> {
        let routes = self.routes.iter().filter(|route| route.is_foreign() && route.gateway.is_none());
        routes.map(|route| route.destination)
    }

    /// The address and network of an interface; none if it does not exist or has none.
    pub(super) fn network_of(&self, interface: &str) -> Option<Ipv4Net> {
        let (address, _) = self.addresses.iter().find(|(_, name)| name == interface)?;
        let is_its = |route: &&Route| route.interface == interface && route.gateway.is_none();
        let route = self.routes.iter().filter(is_its).find(|route| route.destination.contains(address))?;
        Ipv4Net::new(*address, route.destination.prefix_len()).ok()
    }

    pub(super) fn foreign_addresses(&self) -> impl Iterator<Item = &(Ipv4Addr, String)> {
        self.addresses.iter().filter(|(address, interface)| {
            !address.is_loopback() && interface != LOOPBACK && interface != interfaces::BRIDGE
        })
    }
}
