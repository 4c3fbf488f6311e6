//! The end of a bake: everything stops, the store and etcd are frozen, and nothing of the build container stays.

use std::path::Path;
use std::time::Duration;

use kubake_contract::paths;

use super::bake_run::Bake;
use super::inbox::remove;
use super::{flatten, freeze, images, trust};
use crate::boot::api_client;
use crate::command::Run;
use crate::phases::BoxError;
use crate::pods::stop;
use crate::{cri, store, volumes};

/// Time limit for the stop of workloads before the freeze: the default of `terminationGracePeriodSeconds`.
const STOP_GRACE: Duration = Duration::from_secs(30);

impl Bake {
    pub(super) async fn stop_containerd(&mut self) -> Result<(), BoxError> {
        if let Some(containerd) = self.containerd.take() {
            containerd.stop().await;
        }
        self.runtime.shutdown.cancel();
        Ok(())
    }

    pub(super) fn freeze_images(&mut self) -> Result<(), BoxError> {
        store::freeze(Path::new(paths::CONTAINERD_ROOT), Path::new(paths::FROZEN_STORE))?;
        freeze::remove_traces()?;
        remove(Path::new(paths::STORE_CLAIM))?;
        remove(Path::new(paths::INBOX_IMAGES))?;
        Ok(remove(Path::new(paths::INBOX_REQUEST))?)
    }

    /// Stops kubelet and all pods. etcd stops last, after its history was compacted.
    pub(super) async fn stop_cluster(&mut self) -> Result<(), BoxError> {
        if let Some(kubelet) = self.kubelet.take() {
            kubelet.stop().await;
        }
        let client = api_client(&self.runtime)?;
        let trust = trust::collect(&client).await?;
        stop::stop_all_but_etcd(STOP_GRACE).await?;
        let etcd = freeze::Etcd::find().await?;
        trust.freeze(&etcd, &self.runtime.node.name).await?;
        // Compacted while etcd still runs, so that the frozen database holds no history.
        etcd.compact().await?;
        stop::stop_pods(STOP_GRACE).await?;
        cri::remove_pods().await?;
        Ok(())
    }

    /// Stops the daemons and shrinks the store and etcd.
    pub(super) async fn shrink(&mut self) -> Result<(), BoxError> {
        // The images that hooks built stay; the build cache does not.
        let host = format!("unix://{}", paths::DOCKER_SOCKET);
        Run::new("docker").args(["--host", &host, "builder", "prune", "--all", "--force"]).capture().await?;
        self.runtime.shutdown.cancel();
        if let Some(dockerd) = self.dockerd.take() {
            dockerd.stop().await;
        }
        // Images that hooks built or loaded through Docker become part of the image, too.
        images::pin_all().await?;
        flatten::flatten_whiteouts(self.events).await?;
        if let Some(containerd) = self.containerd.take() {
            containerd.stop().await;
        }
        freeze::shrink_etcd(&self.runtime.node).await?;
        trust::warn_of_leftovers(&Path::new(paths::ETCD).join("member/snap/db"))
    }

    pub(super) async fn freeze_cluster(&mut self) -> Result<(), BoxError> {
        store::freeze(Path::new(paths::CONTAINERD_ROOT), Path::new(paths::FROZEN_STORE))?;
        volumes::freeze().await?;
        freeze::remove_traces()?;
        freeze::remove_identity_at(Path::new("/"))?;
        for path in [paths::INBOX_IMAGES, paths::INBOX_HOOKS, paths::INBOX_REQUEST] {
            remove(Path::new(path))?;
        }
        Ok(())
    }
}
