//! containerd and dockerd of a node: their image store, configuration, start and readiness.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::{env, paths, ports};

use super::NodeRuntime;
use super::docker_status::follow_docker;
use crate::phases::BoxError;
use crate::services::{containerd, dockerd};
use crate::store::{self, Attached};
use crate::supervisor::Handle;
use crate::{cni, configuration, docker_proxy, registries};

/// Time limit for containerd's readiness. Usual is 0.1 s; slow disks and emulated machines take much longer.
const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(120);
/// The file in which the bake records the image of pods' sandboxes.
pub(crate) const SANDBOX_IMAGE: &str = "/etc/kubake/sandbox-image";

impl NodeRuntime {
    /// Makes the image's layers available to containerd.
    ///
    /// # Errors
    /// When the volume cannot hold the store.
    pub(crate) async fn attach_store(&self) -> Result<(), BoxError> {
        let attach = || store::attach(Path::new(paths::FROZEN_STORE), Path::new(paths::CONTAINERD_ROOT));
        // Copying layers takes long; the HTTP server answers meanwhile.
        let attached = tokio::task::spawn_blocking(attach).await??;
        if attached == Attached::Copied {
            tracing::warn!("layers were copied to the volume: this first boot took longer than later ones");
        }
        Ok(())
    }

    /// Starts containerd and waits until it serves.
    ///
    /// # Errors
    /// When containerd does not serve in time; with the end of its log.
    pub(crate) async fn start_containerd(&self) -> Result<Handle, BoxError> {
        let sandbox = configuration::read(Path::new(SANDBOX_IMAGE))?;
        let host = containerd::Host { has_sys_resource: self.facts.sys_resource };
        configuration::write(Path::new(containerd::CONFIG), &containerd::config(sandbox.trim(), &host))?;
        configuration::write(Path::new(cni::paths::CONFLIST), &cni::ptp::conflist(&self.node, self.mtu))?;
        let handle = self.supervisor.start(containerd::service(self.proxy_variables()))?;
        handle.ready(CONTAINERD_TIMEOUT).await?;
        Ok(handle)
    }

    /// Starts dockerd and serves its API on TCP: with TLS if this container has an identity, and without TLS unless that
    /// is switched off. Does not wait: the board reports when the API answers.
    ///
    /// # Errors
    /// When dockerd cannot be started, a port is taken, or the certificates cannot be used.
    pub(crate) async fn start_dockerd(&self) -> Result<Handle, BoxError> {
        let registries = registries::plan::for_dockerd(&self.boot_options.registries);
        configuration::write(Path::new(dockerd::CONFIG), &dockerd::config(&registries))?;
        let handle = self.supervisor.start(dockerd::service(self.mtu, self.proxy_variables()))?;
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
