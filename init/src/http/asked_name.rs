//! Makes the API server's certificate valid for the name by which a caller will use it, and waits until the API server serves
//! that certificate. Decides nothing about who may ask.

use std::net::SocketAddr;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use kubake_contract::ports;
use tokio::time::{sleep, timeout};

use super::site::Site;
use crate::api::Client;
use crate::identity::{self, Asked};
use crate::kubeconfig::address::{Host, Server};
use crate::kubeconfig::{Kubeconfig, KubeconfigError};

/// How long a caller waits for the API server, which looks at its files when they change.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(30);

/// Adds `host` to the certificate if it lacks it. `admin` is kubeadm's kubeconfig. A failure is only logged: most clients
/// find another name in the certificate (`tls-server-name`).
pub(super) async fn serve(host: &Host, admin: &str, site: &Site) {
    let name = match host {
        Host::Name(name) => name.clone(),
        Host::Ip(address) => address.to_string(),
    };
    let root = site.root.clone();
    let add = move || identity::serve_also_at(&root, &name);
    match tokio::task::spawn_blocking(add).await {
        Ok(Ok(Asked::Unchanged)) => return,
        Ok(Ok(Asked::Added)) => tracing::info!("the API server's certificate is for {host} too now"),
        Ok(Ok(Asked::Full)) => {
            tracing::debug!("the API server's certificate is not for {host}: callers have added enough names");
            return;
        }
        Ok(Err(error)) => {
            tracing::warn!("the API server's certificate is not for {host}: {}", chain(&error));
            return;
        }
        Err(error) => {
            tracing::warn!("the API server's certificate is not for {host}: {error}");
            return;
        }
    }
    // One that does not run yet will read the new file.
    if site.board.snapshot().kubernetes.ready && timeout(PATIENCE, served(host, admin, site)).await.is_err() {
        tracing::debug!("the API server does not serve its new certificate yet");
    }
}

/// Returns when the API server serves a certificate for `host`.
async fn served(host: &Host, admin: &str, site: &Site) {
    let client = match client(host, admin, site) {
        Ok(client) => client,
        Err(error) => return tracing::debug!("the new certificate was not looked at: {}", chain(&*error)),
    };
    while client.get_text("/livez").await.is_err() {
        sleep(PAUSE).await;
    }
}

fn client(host: &Host, admin: &str, site: &Site) -> Result<Client, Box<dyn std::error::Error + Send + Sync>> {
    let server = Server { host: host.clone(), port: ports::API };
    let mut config = Kubeconfig::parse(admin)?.for_callers(&server)?;
    for named in &mut config.clusters {
        named.cluster.tls_server_name = None;
    }
    let yaml = serde_yaml::to_string(&config).map_err(KubeconfigError::Yaml)?;
    let address = SocketAddr::from((site.node.addresses.ipv4, ports::API));
    Ok(Client::from_kubeconfig(&yaml)?.connect_to(address).with_timeout(Duration::from_secs(1)))
}
