//! containerd and dockerd of a node: their image store, configuration, start and readiness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::Ipv4Net;
use kubake_contract::{env, paths, ports};

use super::NodeRuntime;
use super::docker_status::follow_docker;
use crate::image_guard::Guard;
use crate::phases::BoxError;
use crate::services::{containerd, dockerd};
use crate::store::{self, Attached};
use crate::supervisor::Handle;
use crate::{cni, configuration, docker_proxy, registries, volumes};

/// Time limit for containerd's readiness. Usual is 0.1 s; slow disks and emulated machines take much longer.
const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(120);
/// A longer list of CNI plug-ins is none.
const MOST_CONFLIST_BYTES: u64 = 1 << 20;
/// The file in which the bake records the image of pods' sandboxes.
pub(crate) const SANDBOX_IMAGE: &str = "/etc/kubake/sandbox-image";

impl NodeRuntime {
    /// Makes the image's layers available to containerd.
    ///
    /// # Errors
    /// When the volume cannot hold the store.
    pub(crate) async fn attach_store(&self) -> Result<(), BoxError> {
        let attach = || {
            let volume = store::Volume::lock(Path::new(paths::CONTAINERD_ROOT))?;
            volume.attach(Path::new(paths::FROZEN_STORE), Path::new(paths::STORE_CLAIM))
        };
        // Copying layers takes long; the HTTP server answers meanwhile.
        let (attached, claim) = tokio::task::spawn_blocking(attach).await??;
        if attached == Attached::Copied {
            tracing::warn!("layers were copied to the volume: this first boot took longer than later ones");
        }
        Ok(volumes::attach(Path::new(paths::CONTAINERD_ROOT), &claim).await?)
    }

    /// Starts containerd and waits until it serves.
    ///
    /// # Errors
    /// When containerd does not serve in time; with the end of its log.
    pub(crate) async fn start_containerd(&self) -> Result<Handle, BoxError> {
        let sandbox = configuration::read(Path::new(SANDBOX_IMAGE))?;
        let host = containerd::Host { has_sys_resource: self.facts.sys_resource };
        configuration::write(Path::new(containerd::CONFIG), &containerd::config(sandbox.trim(), &host))?;
        self.write_conflist(Path::new(cni::paths::CONFLIST))?;
        let handle = self.supervisor.start(containerd::service(self.proxy_variables()))?;
        handle.ready(CONTAINERD_TIMEOUT).await?;
        Ok(handle)
    }

    /// Writes the node's list of CNI plug-ins, with those that add-ons chained to it in an earlier boot or in the bake.
    fn write_conflist(&self, path: &Path) -> Result<(), BoxError> {
        let mut list = cni::ptp::conflist(&self.node, self.mtu);
        let is_readable = std::fs::metadata(path).is_ok_and(|metadata| metadata.len() <= MOST_CONFLIST_BYTES);
        if let Some(existing) = is_readable.then(|| std::fs::read_to_string(path).ok()).flatten() {
            match cni::chain::keep_chained(&list, &existing) {
                Ok(chained) => list = chained,
                Err(error) => {
                    tracing::warn!("{} held no list of CNI plug-ins and is replaced: {error}", path.display())
                }
            }
        }
        Ok(configuration::write(path, &list)?)
    }

    /// The networks that dockerd makes: beside those of the cluster and of the container.
    fn docker_networks(&self) -> dockerd::Networks {
        let mut taken = vec![self.settings.pod_subnet, self.settings.service_subnet, self.node.addresses.ipv4.into()];
        taken.extend(&self.networks);
        taken.extend(self.attached.iter().flat_map(|plan| &plan.must_reach).map(|address| Ipv4Net::from(*address)));
        // Another address would cut the other engine's containers off, those of the host with `--network host`.
        dockerd::Networks::beside(&taken, self.mtu).with_bridge(self.docker_bridge)
    }

    /// Starts dockerd and serves its API on TCP: with TLS if this container has an identity, and without TLS unless that
    /// is switched off. Does not wait: the board reports when the API answers.
    ///
    /// # Errors
    /// When dockerd cannot be started, a port is taken, or the certificates cannot be used.
    pub(crate) async fn start_dockerd(&self) -> Result<Handle, BoxError> {
        let registries = registries::plan::for_dockerd(&self.boot_options.registries);
        configuration::write(Path::new(dockerd::CONFIG), &dockerd::config(&registries, &self.docker_networks()))?;
        let handle = self.supervisor.start(dockerd::service(self.proxy_variables()))?;
        let (socket, dockerds) = (Path::new(paths::DOCKER_SOCKET), Path::new(paths::DOCKERD_SOCKET));
        tokio::spawn(Guard::bind(socket, dockerds)?.run(self.shutdown.clone().cancelled_owned()));
        let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let mut proxy = docker_proxy::Proxy::new(PathBuf::from(paths::DOCKER_SOCKET), self.own_hosts.clone());
        match docker_proxy::acceptor_at(Path::new(paths::DOCKER_PKI))? {
            Some(acceptor) => proxy.listen_with_tls(everywhere(ports::DOCKER_TLS), acceptor).await?,
            // During a bake: each container makes its own identity at its first boot.
            None => tracing::debug!("no certificates in {}: no Docker API with TLS", paths::DOCKER_PKI),
        }
        if self.boot_options.is_docker_tcp_served {
            proxy.listen(everywhere(ports::DOCKER)).await?;
        } else {
            tracing::info!("nothing listens on port {}: a token is set, or {} is off", ports::DOCKER, env::DOCKER_TCP);
        }
        tokio::spawn(proxy.run(self.shutdown.clone().cancelled_owned()));
        tokio::spawn(follow_docker(self.board.clone(), self.shutdown.clone()));
        Ok(handle)
    }
}
