//! The daemons of a booted container by name, and what the bake shares with the boot: kubelet's start and the client of
//! the API server.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::path::Path;

use futures_util::future::select_all;
use kubake_contract::{paths, ports};

use crate::api::Client;
use crate::configuration;
use crate::node_runtime::NodeRuntime;
use crate::phases::BoxError;
use crate::services::kubelet;
use crate::supervisor::{Handle, ServiceError};

/// Running daemons by name.
#[derive(Debug, Default)]
pub(super) struct Daemons(BTreeMap<&'static str, Handle>);

impl Daemons {
    pub(super) fn insert(&mut self, name: &'static str, handle: Handle) {
        self.0.insert(name, handle);
    }

    pub(super) fn get(&self, name: &str) -> Option<&Handle> {
        self.0.get(name)
    }

    /// Returns only when the supervisor gives up one of `names`.
    pub(super) async fn given_up(&self, names: &[&str]) -> ServiceError {
        let given_up: Vec<_> =
            names.iter().filter_map(|name| self.get(name)).map(|handle| Box::pin(handle.given_up())).collect();
        if given_up.is_empty() {
            return pending().await;
        }
        select_all(given_up).await.0
    }
}

/// Starts kubelet with kubeadm's files. Does not wait: readiness evidence shows later whether kubelet works.
pub(crate) fn start_kubelet(runtime: &NodeRuntime) -> Result<Handle, BoxError> {
    let reserved = runtime.reserve()?;
    let flags = configuration::read(Path::new(kubelet::FLAGS))?;
    Ok(runtime.supervisor.start(kubelet::service(&flags, reserved))?)
}

/// Returns a client that reaches the API server at the static IP with kubeadm's admin credentials.
pub(crate) fn api_client(runtime: &NodeRuntime) -> Result<Client, BoxError> {
    let kubeconfig = configuration::read(Path::new(paths::ADMIN_KUBECONFIG))?;
    let address = SocketAddr::from((runtime.node.addresses.ipv4, ports::API));
    Ok(Client::from_kubeconfig(&kubeconfig)?.connect_to(address))
}
