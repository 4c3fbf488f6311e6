//! One node of a cluster: its name, role, addresses and pod ranges. Data only, derived from the settings.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::ClusterSettings;
use crate::names::{self, NodeName};

/// The address at which pods and CoreDNS ask for names outside, on the loopback interface of every node. One of its own,
/// and link-local so that no network has it: the rules for pods' host ports leave it out, so that a pod with `hostPort: 53`
/// does not catch these queries. Clouds and NodeLocal DNSCache use others of this range.
pub const RESOLVER_ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 99, 53);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRole {
    ControlPlane,
}

/// The node's addresses inside the cluster, one per address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeAddresses {
    /// Attached to the loopback interface at every boot.
    pub ipv4: Ipv4Addr,
}

/// `spec.podCIDRs` of the node, one per address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodCidrs {
    pub ipv4: Ipv4Net,
}

/// What the node's programs, certificates and objects are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub name: NodeName,
    pub role: NodeRole,
    pub addresses: NodeAddresses,
    pub pod_cidrs: PodCidrs,
}

impl Node {
    /// The node of a cluster that has one. It gets the first /24 of the pod subnet, as the controller manager allocates
    /// it.
    #[must_use]
    pub fn control_plane(settings: &ClusterSettings) -> Self {
        let pods = settings.pod_subnet;
        Self {
            name: names::CONTROL_PLANE,
            role: NodeRole::ControlPlane,
            addresses: NodeAddresses { ipv4: settings.static_ip },
            pod_cidrs: PodCidrs { ipv4: Ipv4Net::new_assert(pods.network(), pods.prefix_len().max(24)) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_control_plane_has_the_static_ip_and_the_first_24_of_the_pod_subnet() {
        let node = Node::control_plane(&ClusterSettings::default());
        assert_eq!(node.addresses.ipv4, Ipv4Addr::new(172, 30, 99, 1));
        assert_eq!(node.pod_cidrs.ipv4.to_string(), "10.244.0.0/24");
        assert_eq!(node.name.kubelet_user(), "system:node:kind");
    }
}
