//! The list of plug-ins: a point-to-point link per pod, without a bridge, a daemon or anything to wait for. Pure.

use kubake_contract::{Node, RESOLVER_ADDRESS};

use super::paths;

/// The content of [`paths::CONFLIST`]. `mtu` is that of the interface that leads outside; pods must not exceed it.
pub(crate) fn conflist(node: &Node, mtu: u32) -> String {
    let list = serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "kubake",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "mtu": mtu,
                "ipam": {
                    "type": "host-local",
                    "dataDir": paths::ADDRESSES,
                    "ranges": [[{ "subnet": node.pod_cidrs.ipv4.to_string() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                },
            },
            {
                "type": "portmap",
                "capabilities": { "portMappings": true },
                // A pod with `hostPort: 53` must not catch what CoreDNS asks outside.
                "conditionsV4": ["!", "--destination", RESOLVER_ADDRESS.to_string()],
            },
        ],
    });
    format!("{list:#}\n")
}

#[cfg(test)]
mod tests {
    use kubake_contract::ClusterSettings;

    use super::*;

    #[test]
    fn pods_get_the_hosts_mtu_and_addresses_of_the_nodes_subnet() {
        let node = Node::control_plane(&ClusterSettings::default());
        let list: serde_json::Value = serde_json::from_str(&conflist(&node, 1360)).unwrap();
        assert_eq!(list["plugins"][0]["mtu"], 1360);
        assert_eq!(list["plugins"][0]["ipam"]["ranges"][0][0]["subnet"], "10.244.0.0/24");
        assert!(paths::CONFLIST.starts_with(paths::CONFIGURATION));
    }
}
