//! The work of each phase of a boot. The role owns the order.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::paths;
use kubake_contract::status::{State, Status};
use tokio_util::sync::CancellationToken;

use super::daemons::{api_client, start_kubelet};
use super::first_readiness::FirstReadiness;
use super::hooks;
use super::run::Boot;
use crate::api::Client;
use crate::phases::BoxError;
use crate::pods::crashes;
use crate::readiness::{self, Inventory};
use crate::services::{containerd, dockerd, kubelet};
use crate::status::Board;
use crate::{user_namespaces, volumes};

impl Boot {
    pub(crate) fn prepare_host(&self) -> Result<(), BoxError> {
        self.runtime.prepare_host()?;
        self.runtime.apply_boot_options()
    }

    pub(crate) async fn attach_network(&mut self) -> Result<(), BoxError> {
        let is_checked = self.runtime.boot_options.is_static_ip_checked;
        self.runtime.attach_network(is_checked).await
    }

    pub(crate) async fn ensure_identity(&self) -> Result<(), BoxError> {
        self.runtime.ensure_identity(self.identity.clone()).await
    }

    pub(crate) async fn before_boot(&self) -> Result<(), BoxError> {
        Ok(hooks::before_boot(&self.runtime, self.events).await?)
    }

    pub(crate) async fn attach_store(&self) -> Result<(), BoxError> {
        self.runtime.attach_store().await
    }

    pub(crate) async fn start_containerd(&mut self) -> Result<(), BoxError> {
        let handle = self.runtime.start_containerd().await?;
        self.daemons.insert(containerd::NAME, handle);
        Ok(())
    }

    pub(crate) fn start_kubelet(&mut self) -> Result<(), BoxError> {
        self.daemons.insert(kubelet::NAME, start_kubelet(&self.runtime)?);
        Ok(())
    }

    /// Does not wait for dockerd: Kubernetes gets the processor first.
    pub(crate) async fn start_dockerd(&mut self) -> Result<(), BoxError> {
        let handle = self.runtime.start_dockerd().await?;
        self.daemons.insert(dockerd::NAME, handle);
        Ok(())
    }

    /// Follows the cluster until it is ready. `Boot::run` continues to follow afterwards.
    pub(crate) async fn until_ready(&mut self) -> Result<(), BoxError> {
        let client = api_client(&self.runtime)?;
        let inventory = Some(Inventory::read(Path::new(paths::INVENTORY))?);
        let expected = self.plan.expected;
        let scope = readiness::Scope { boot: self.begun, inventory, expected };
        let (settings, node) = (self.runtime.settings.clone(), self.runtime.node.name.clone());
        let board = self.runtime.board.clone();
        tokio::spawn(serve_volumes(
            self.runtime.board.clone(),
            client.clone(),
            node.to_string(),
            self.runtime.shutdown.clone(),
        ));
        let follow: &mut _ = self.follow.insert(Box::pin(async move {
            readiness::follow(client, &settings, &node, scope, &board).await;
        }));
        let mut status = self.runtime.board.subscribe();
        let (board, timeout) = (&self.runtime.board, self.runtime.boot_options.boot_timeout);
        let first_readiness = FirstReadiness::new(Path::new("/"));
        let is_ready = async {
            // An error means that the board is gone, which is the end of the supervisor.
            while tokio::time::timeout(timeout, status.wait_for(|status| status.state == State::Running)).await.is_err()
            {
                let missing = board.snapshot().kubernetes.missing.join("; ");
                if !(first_readiness.is_reached() && board.has_infrastructure()) {
                    let tails = crashes::tails(Path::new(crashes::LOGS));
                    return Err(format!("Kubernetes is not ready after {} s: {missing}\n{tails}", timeout.as_secs()));
                }
                // A broken workload is the user's to repair, for which the API server is needed.
                tracing::warn!("not ready {} s after the last report, and still running: {missing}", timeout.as_secs());
            }
            Ok(())
        };
        tokio::select! {
            ready = is_ready => ready?,
            error = self.daemons.given_up(expected.daemons) => return Err(error.into()),
            crashing = control_plane_crashing() => return Err(crashing.into()),
            () = follow => return Err("readiness ended unexpectedly".into()),
        }
        first_readiness.record();
        Ok(())
    }
}

/// Makes the volumes that claims ask for, from the moment at which the API server serves until `shutdown`. Earlier requests
/// would cost processor time that the boot needs.
async fn serve_volumes(board: Board, client: Client, node: String, shutdown: CancellationToken) {
    let mut status = board.subscribe();
    let serve = async {
        let serves = |status: &Status| status.milestones.iter().any(|one| one.name == readiness::API_READY);
        if status.wait_for(serves).await.is_ok() {
            let make_volumes = volumes::follow(client.clone(), node, PathBuf::from(paths::VOLUMES));
            tokio::join!(make_volumes, user_namespaces::follow(&client, Path::new(paths::CONTAINERD_ROOT)));
        }
    };
    tokio::select! {
        () = serve => {}
        () = shutdown.cancelled() => {}
    }
}

/// Returns only when a container of the control plane crashes again and again.
async fn control_plane_crashing() -> crashes::Crashing {
    let logs = Path::new(crashes::LOGS);
    let before = crashes::attempts(logs);
    loop {
        // Reads a few directory entries. kubelet writes there too often for a watch to be cheaper.
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(crashing) = crashes::crashing(logs, before) {
            return crashing;
        }
    }
}
