//! The node's keys and certificates, at the addresses that the container has now.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::time::SystemTime;

use nix::ifaddrs::getifaddrs;

use super::NodeRuntime;
use crate::identity;
use crate::phases::BoxError;

impl NodeRuntime {
    /// The facts for which the container's certificates are made.
    #[must_use]
    pub(crate) fn node_facts(&self) -> identity::NodeFacts {
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        identity::NodeFacts {
            node: self.node.clone(),
            addresses: self.addresses.iter().copied().chain(ipv6_addresses()).collect(),
            hostname: hostname.to_string_lossy().into_owned(),
            now: SystemTime::now(),
        }
    }

    /// Makes the container's keys and certificates, or keeps or renews those it has.
    ///
    /// # Errors
    /// When a key or certificate cannot be made or written.
    pub(crate) async fn ensure_identity(&self, request: identity::Request) -> Result<(), BoxError> {
        let (settings, facts) = (self.settings.clone(), self.node_facts());
        let ensure = move || identity::ensure_at(Path::new("/"), &settings, &request, &facts);
        // It takes milliseconds, in which the HTTP server has to answer.
        match tokio::task::spawn_blocking(ensure).await?? {
            identity::Outcome::Made => tracing::debug!("this container has an identity of its own now"),
            identity::Outcome::Kept => {}
            identity::Outcome::Renewed => tracing::info!("certificates were renewed; the CAs are the same"),
        }
        Ok(())
    }
}

/// The container's IPv6 addresses, as far as others can reach them.
fn ipv6_addresses() -> Vec<IpAddr> {
    // A kernel without them has none, and a certificate without them serves everyone else.
    let interfaces = getifaddrs().into_iter().flatten();
    let all = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in6()?.ip()));
    all.filter(is_reachable).map(IpAddr::V6).collect()
}

fn is_reachable(address: &Ipv6Addr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || address.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_can_reach_count() {
        for (address, expected) in [
            ("fd00::7", true),
            ("2001:db8::1", true),
            ("::1", false),
            ("fe80::1", false),
            ("::", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_reachable(&address.parse().unwrap()), expected, "{address}");
        }
        assert!(ipv6_addresses().iter().all(IpAddr::is_ipv6));
    }
}
