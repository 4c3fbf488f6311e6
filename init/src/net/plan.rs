//! What the node needs of the network. Data only.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use kubake_contract::{ClusterSettings, Node, RESOLVER_ADDRESS};

/// The addresses and routes that [`attach`](super::attach()) adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The node's fixed address.
    pub static_ip: Ipv4Addr,
    /// Where names outside are asked for.
    pub resolver: Ipv4Addr,
    pub service_subnet: Ipv4Net,
    pub pod_subnet: Ipv4Net,
    /// Addresses outside the container that it needs, such as its name servers. They must not lie in the subnets.
    pub must_reach: Vec<Ipv4Addr>,
}

impl Plan {
    #[must_use]
    pub(crate) fn new(settings: &ClusterSettings, node: &Node) -> Self {
        Self {
            static_ip: node.addresses.ipv4,
            resolver: RESOLVER_ADDRESS,
            service_subnet: settings.service_subnet,
            pod_subnet: settings.pod_subnet,
            must_reach: Vec::new(),
        }
    }
}
