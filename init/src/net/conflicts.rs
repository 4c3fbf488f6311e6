//! Finds conflicts between the cluster's addresses and the container's networks: all at once, each with advice. Pure.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kubake_contract::env;

use super::plan::Plan;
use super::snapshot::{Route, Snapshot};

/// A reason why an address or subnet cannot belong to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// The static IP is the address of another interface.
    AddressTaken { static_ip: Ipv4Addr, interface: String },
    /// A route leads to a network that contains the static IP.
    StaticIpRouted { static_ip: Ipv4Addr, route: Route },
    /// A route leads to a network that overlaps a subnet of the cluster.
    SubnetRouted { subnet: Subnet, range: Ipv4Net, route: Route },
    /// The container's own address lies in a subnet of the cluster.
    AddressInSubnet { subnet: Subnet, range: Ipv4Net, address: Ipv4Addr, interface: String },
    /// An address that the container needs lies in a subnet of the cluster.
    Unreachable {
        subnet: Subnet,
        range: Ipv4Net,
        /// The address that would be cut off, such as a name server's.
        address: Ipv4Addr,
    },
}

/// One of the cluster's two subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subnet {
    Service,
    Pod,
}

impl Subnet {
    /// The option of `kubake bake` that sets this subnet.
    fn option(self) -> &'static str {
        match self {
            Self::Service => "--service-subnet",
            Self::Pod => "--pod-subnet",
        }
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service subnet",
            Self::Pod => "pod subnet",
        })
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTaken { static_ip, interface } => {
                write!(f, "the static IP {static_ip} is already the address of interface {interface}")
            }
            Self::StaticIpRouted { static_ip, route } => {
                write!(f, "the static IP {static_ip} belongs to a network outside ({route})")
            }
            Self::SubnetRouted { subnet, range, route } => {
                write!(f, "the {subnet} {range} overlaps a network outside ({route})")
            }
            Self::AddressInSubnet { subnet, range, address, interface } => {
                write!(f, "the {subnet} {range} holds the container's own address {address} (interface {interface})")
            }
            Self::Unreachable { subnet, range, address } => {
                write!(f, "the {subnet} {range} holds {address}, which the container needs outside")
            }
        }?;
        let option = match self {
            Self::AddressTaken { .. } | Self::StaticIpRouted { .. } => "--static-ip",
            Self::SubnetRouted { subnet, .. }
            | Self::AddressInSubnet { subnet, .. }
            | Self::Unreachable { subnet, .. } => subnet.option(),
        };
        write!(f, "; connect the container to another network, or bake with another one: kubake bake {option} ...")
    }
}

/// All conflicts, followed by how to start regardless.
pub(super) struct Conflicts<'a>(pub(super) &'a [Conflict]);

impl fmt::Display for Conflicts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for conflict in self.0 {
            writeln!(f, "{conflict}")?;
        }
        write!(f, "to start regardless, set {}=off", env::STATIC_IP_CHECK)
    }
}

/// Returns every reason why `plan` does not fit the tables in `there`.
pub(super) fn conflicts(plan: &Plan, there: &Snapshot) -> Vec<Conflict> {
    let static_ip = plan.static_ip;
    let mut found = Vec::new();
    for (_, interface) in there.foreign_addresses().filter(|(address, _)| *address == static_ip) {
        found.push(Conflict::AddressTaken { static_ip, interface: interface.clone() });
    }
    for route in there.routes.iter().filter(|route| route.is_foreign() && route.destination.contains(&static_ip)) {
        found.push(Conflict::StaticIpRouted { static_ip, route: route.clone() });
    }
    for (subnet, range) in [(Subnet::Service, plan.service_subnet), (Subnet::Pod, plan.pod_subnet)] {
        for route in there.routes.iter().filter(|route| route.is_foreign()) {
            let overlaps = range.contains(&route.destination.network()) || route.destination.contains(&range.network());
            // A wide route to a gateway (10.0.0.0/8 to a company network) has lower priority than kubake's route, which
            // hides only a part of it. A connected network, or a route to a part of our range, is really used.
            let is_used = route.gateway.is_none() || route.destination.prefix_len() >= range.prefix_len();
            if overlaps && is_used {
                found.push(Conflict::SubnetRouted { subnet, range, route: route.clone() });
            }
        }
        for (address, interface) in there.foreign_addresses().filter(|(address, _)| range.contains(address)) {
            found.push(Conflict::AddressInSubnet { subnet, range, address: *address, interface: interface.clone() });
        }
        for &address in plan.must_reach.iter().filter(|address| range.contains(*address)) {
            found.push(Conflict::Unreachable { subnet, range, address });
        }
    }
    found
}
