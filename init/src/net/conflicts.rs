//! Why the addresses that we need cannot be ours: every reason at once, each with what to do. Pure.

use std::fmt;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::plan::Plan;
use super::snapshot::{Route, Snapshot};
use crate::contract::env;

/// One reason why an address cannot be ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conflict {
    /// Another interface has the static IP.
    AddressTaken {
        /// The static IP.
        static_ip: Ipv4Addr,
        /// Who has it.
        interface: String,
    },
    /// The static IP belongs to a network that is reached otherwise.
    StaticIpRouted {
        /// The static IP.
        static_ip: Ipv4Addr,
        route: Route,
    },
    /// A subnet of the cluster overlaps a network that is reached otherwise.
    SubnetRouted { subnet: Subnet, range: Ipv4Net, route: Route },
    /// The container's own address lies in a subnet of the cluster.
    AddressInSubnet {
        subnet: Subnet,
        range: Ipv4Net,
        /// The container's address.
        address: Ipv4Addr,
        /// The interface that has it.
        interface: String,
    },
    /// Something the container needs lies in a subnet of the cluster.
    Unreachable {
        subnet: Subnet,
        range: Ipv4Net,
        /// What would be cut off, such as a name server.
        address: Ipv4Addr,
    },
}

/// One of the cluster's two subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    Service,
    Pod,
}

impl Subnet {
    /// The option of `kubake bake` that sets it.
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

/// All conflicts and, once, how to go on regardless.
pub(super) struct Conflicts<'a>(pub(super) &'a [Conflict]);

impl fmt::Display for Conflicts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for conflict in self.0 {
            writeln!(f, "{conflict}")?;
        }
        write!(f, "to start regardless, set {}=off", env::STATIC_IP_CHECK)
    }
}

/// Every reason why `plan` does not fit what is there.
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
            // A wide route to a gateway (10.0.0.0/8 to the company) loses against ours and hides only what it must.
            // A connected network, or a part of our range that somebody made a point of routing, is really used.
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
