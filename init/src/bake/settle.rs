//! Waits of a bake: until the cluster is ready, until the user's workloads are, and for what must be true before the
//! freeze.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kubake_contract::paths;
use tokio::time::Instant;

use super::bake_run::Bake;
use super::{jobs, manifests, policies, pulls};
use crate::boot::api_client;
use crate::events::Events;
use crate::node_runtime::NodeRuntime;
use crate::phases::BoxError;
use crate::readiness;
use crate::role::control_plane;
use crate::status::Board;
use crate::{user_namespaces, volumes};

/// Time limit for the new cluster until everything runs.
const READY_TIMEOUT: Duration = Duration::from_secs(900);

impl Bake {
    pub(super) async fn until_ready(&mut self) -> Result<(), BoxError> {
        until_ready(&self.runtime, self.begun, self.events).await?;
        let (client, node) = (api_client(&self.runtime)?, self.runtime.node.name.to_string());
        let shutdown = self.runtime.shutdown.clone();
        tokio::spawn(async move {
            let make_volumes = volumes::follow(client.clone(), node, PathBuf::from(paths::VOLUMES));
            let serve = async {
                tokio::join!(make_volumes, user_namespaces::follow(&client, Path::new(paths::CONTAINERD_ROOT)));
            };
            shutdown.run_until_cancelled(serve).await
        });
        Ok(())
    }

    pub(super) async fn apply_manifests(&mut self) -> Result<(), BoxError> {
        manifests::apply(Path::new(paths::INBOX_MANIFESTS), self.events).await
    }

    /// Waits for jobs and for everything that hooks and manifests brought, then writes the inventory for the boots.
    pub(super) async fn settle(&mut self) -> Result<(), BoxError> {
        let client = api_client(&self.runtime)?;
        let settled = async {
            jobs::until_complete(&client).await?;
            until_ready(&self.runtime, self.begun, self.events).await
        };
        // Before, because such a workload may wait for an image in vain; after, because operators create some.
        policies::refuse_always(&client).await?;
        pulls::or_failed_pull(&client, settled).await?;
        policies::refuse_always(&client).await?;
        let node = &self.runtime.node.name;
        let inventory = readiness::take_inventory(&client, node, &control_plane::EXPECTED).await?;
        Ok(inventory.write(Path::new(paths::INVENTORY))?)
    }
}

/// Waits until everything runs, by the same evidence as a boot, and reports what is missing. Uses a board of its own,
/// because the bake's board reports the bake.
async fn until_ready(runtime: &NodeRuntime, begun: (Instant, SystemTime), events: Events) -> Result<(), BoxError> {
    let board = Board::new();
    let mut changes = board.subscribe();
    let client = api_client(runtime)?;
    let mut reported = Vec::new();
    let ready = changes.wait_for(|status| {
        let missing = &status.kubernetes.missing;
        if let (Some(first), true) = (missing.first(), *missing != reported) {
            reported.clone_from(missing);
            let more = if missing.len() > 1 { format!(", and {} more", missing.len() - 1) } else { String::new() };
            events.note(format!("{first}{more}"));
        }
        status.kubernetes.ready
    });
    let scope = readiness::Scope { boot: begun, inventory: None, expected: &control_plane::EXPECTED };
    tokio::select! {
        () = readiness::follow(client, &runtime.settings, &runtime.node.name, scope, &board) => Err("readiness ended unexpectedly".into()),
        waited = tokio::time::timeout(READY_TIMEOUT, ready) => match waited {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "the cluster is not ready after {} s: {}",
                READY_TIMEOUT.as_secs(),
                board.snapshot().kubernetes.missing.join("; "),
            ).into()),
        },
    }
}
