//! The network side of a node: the static IP, the DNS forwarder, and the proxies that reach outside.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use kubake_contract::error_chain::chain;
use kubake_contract::{RESOLVER_ADDRESS, paths, proxies};

use super::NodeRuntime;
use crate::host::hosts_file;
use crate::phases::BoxError;
use crate::{configuration, dns_forwarder, net};

/// The resolver configuration that the engine gave the container.
const RESOLV_CONF: &str = "/etc/resolv.conf";

impl NodeRuntime {
    /// Adds the static IP, checks the cluster's ranges and starts the DNS forwarder.
    ///
    /// # Errors
    /// When the static IP is taken or the kernel refuses a change.
    pub(crate) async fn attach_network(&mut self, is_checked: bool) -> Result<(), BoxError> {
        let resolv_conf = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        let mut plan = net::Plan::new(&self.settings, &self.node);
        plan.must_reach = dns_forwarder::ResolvConf::parse(&resolv_conf)
            .nameservers
            .into_iter()
            .filter_map(|server| match server {
                IpAddr::V4(server) if !server.is_loopback() => Some(server),
                _ => None,
            })
            .collect();
        // Before the first change, so that a half-attached network is taken back, too.
        let report = net::attach(&plan, is_checked, || self.attached = Some(plan.clone())).await?;
        for ignored in &report.ignored {
            tracing::warn!("ignored as configured: {ignored}");
        }
        self.addresses = report.addresses.iter().copied().map(IpAddr::V4).collect();
        self.networks = report.networks;
        self.docker_bridge = report.docker_bridge;
        if let Some(proxies) = &self.boot_options.proxies {
            tracing::info!("containerd and dockerd pull images through the proxies of the environment");
            if proxies.is_on_loopback() {
                tracing::warn!(
                    "a proxy is on loopback, which is the container's own unless it runs in its host's network; one on \
                     the host is reached under another address, such as the gateway's"
                );
            }
        }
        if let Some(uplink) = report.uplink {
            self.mtu = uplink.mtu;
        }
        let for_pods = dns_forwarder::pod_resolv_conf(&resolv_conf, RESOLVER_ADDRESS);
        configuration::write(Path::new(paths::POD_RESOLV_CONF), &for_pods)?;
        let listen = SocketAddr::from((RESOLVER_ADDRESS, 53));
        let (resolv_conf, hosts) = (PathBuf::from(RESOLV_CONF), PathBuf::from(hosts_file::HOSTS));
        let forwarder = dns_forwarder::Forwarder::bind(listen, resolv_conf, hosts).await?;
        tokio::spawn(forwarder.run(self.shutdown.clone().cancelled_owned()));
        Ok(())
    }

    /// Takes back what [`NodeRuntime::attach_network`] changed, because other containers may share the network. Runs last,
    /// when nothing of the cluster runs any more.
    pub(crate) async fn detach_network(&mut self) {
        let Some(plan) = self.attached.take() else { return };
        if let Err(error) = net::detach(&plan).await {
            tracing::warn!("the network was not restored: {}", chain(&error));
        }
    }

    /// Proxy variables for daemons that pull images, and for hooks; none if the environment has none.
    #[must_use]
    pub(crate) fn proxy_variables(&self) -> Vec<(OsString, OsString)> {
        let hostname = self.node_facts().hostname;
        let scope = proxies::ProxyScope {
            settings: &self.settings,
            node: &self.node,
            addresses: &self.addresses,
            networks: &self.networks,
            hostname: &hostname,
        };
        self.boot_options.proxies.as_ref().map(|proxies| proxies.environment(&scope)).unwrap_or_default()
    }
}
