//! A custom image: a baked cluster boots in a build container, gets the user's images and workloads, and is frozen again.
//! What is committed is a thin layer on the baked image. Owns the order; every step is one of a boot or of the bake's
//! two halves.

use std::path::Path;

use kubake_contract::{moments, paths};

use super::cluster::{Bake, Daemons, start_dockerd};
use super::{expected_images, images};
use crate::boot::start_kubelet;
use crate::identity;
use crate::node_runtime::NodeRuntime;
use crate::phases::{Events, PhaseError};

/// The phases of a custom bake.
pub(crate) const CUSTOM_PHASES: &[&str] = &[
    "host",
    "network",
    "identity",
    "store",
    "containerd",
    "import",
    "dockerd",
    "before-cluster",
    "kubelet",
    "ready",
    "manifests",
    "after-cluster",
    "settle",
    "stop",
    "etcd-compact",
    "freeze-cluster",
];

/// Takes the baked cluster of this container further and freezes it.
///
/// # Errors
/// When a phase fails; the container is then of no use.
pub(crate) async fn bake_custom(runtime: &mut NodeRuntime, events: Events) -> Result<(), PhaseError> {
    let mut bake = Bake::new(runtime, CUSTOM_PHASES, events);
    bake.prepare().await?;
    let runtime = &*bake.runtime;
    bake.phases.run(runtime.ensure_identity(identity::Request::default())).await?;
    bake.phases.run(runtime.attach_store()).await?;
    let containerd = bake.phases.run(runtime.start_containerd()).await?;
    bake.phases
        .run(async {
            if !Path::new(paths::INBOX_IMAGES).exists() {
                return Ok(());
            }
            images::import_all(&expected_images(&runtime.settings.kubernetes_version).await?, events).await
        })
        .await?;
    let dockerd = bake.phases.run(start_dockerd(runtime)).await?;
    bake.run_hooks(moments::BEFORE_CLUSTER).await?;
    let runtime = &*bake.runtime;
    let kubelet = bake.phases.run(async { start_kubelet(runtime) }).await?;
    bake.freeze(Daemons { containerd, dockerd, kubelet }).await
}
