//! Pods in a user namespace of their own (`hostUsers: false`). containerd shifts the owners of an image's layers by an
//! id-mapped mount of the directory that holds them, which overlayfs does not support as of Linux 6.18 (it has no
//! `FS_ALLOW_IDMAP`), and baked layers lie on the overlayfs of the container. So once such a pod fails, all layers are
//! copied to containerd's volume; kubelet tries again by itself. Costs nothing where there are no such pods.

use std::path::Path;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use serde_json::Value;
use tokio::time::sleep;

use crate::api::{ApiError, Client};
use crate::store;

const EVENTS: &str = "/api/v1/events?fieldSelector=reason=FailedCreatePodSandBox";
/// What containerd writes about the mount that failed (`core/mount/mount_linux.go`).
const SIGN: &str = "idmapped";
/// A watch that is silent for longer is opened again: the API server sends bookmarks about once a minute.
const IDLE: Duration = Duration::from_secs(150);
/// Pause before the next list.
const PAUSE: Duration = Duration::from_secs(1);

/// Copies the layers on `volume` when a pod needs it. Ends when none is a link any more.
pub(crate) async fn follow(client: &Client, volume: &Path) {
    loop {
        match until_needed(client, volume).await {
            Ok(None) => {}
            Ok(Some(false)) => return,
            Ok(Some(true)) => {
                tracing::warn!(
                    "a pod has a user namespace of its own: copying the layers of images to {}",
                    volume.display()
                );
                let volume = volume.to_owned();
                // Takes seconds, in which this thread serves.
                match tokio::task::spawn_blocking(move || store::copy_layers(&volume)).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => tracing::warn!("pods with `hostUsers: false` cannot start: {}", chain(&error)),
                    Err(error) => tracing::warn!("pods with `hostUsers: false` cannot start: {error}"),
                }
                sleep(IDLE).await;
            }
            Err(error) => tracing::debug!("events of failed pods: {}", chain(&error)),
        }
        sleep(PAUSE).await;
    }
}

/// Whether layers have to be copied, as soon as that is known; none if the watch ended before.
async fn until_needed(client: &Client, volume: &Path) -> Result<Option<bool>, ApiError> {
    if !store::is_linked(volume).unwrap_or(false) {
        return Ok(Some(false));
    }
    let list: Value = client.get(EVENTS).await?;
    if list["items"].as_array().is_some_and(|events| events.iter().any(is_about_layers)) {
        return Ok(Some(true));
    }
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
    let path = format!("{EVENTS}&watch=1&allowWatchBookmarks=true&resourceVersion={version}");
    let mut watch = client.watch::<Value>(&path, IDLE).await?;
    while let Some(event) = watch.next().await {
        if is_about_layers(&event?.object) {
            return Ok(Some(true));
        }
    }
    // Most likely the resource version is too old: the next round lists again.
    Ok(None)
}

fn is_about_layers(event: &Value) -> bool {
    event["message"].as_str().is_some_and(|message| message.contains(SIGN))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_containerds_failure_to_map_layers_counts() {
        let about = |message: &str| is_about_layers(&json!({ "message": message }));
        assert!(about("failed to mount rootfs component: failed to prepare idmapped overlay: …: invalid argument"));
        assert!(!about("failed to find the CNI plugin") && !is_about_layers(&json!({})));
    }
}
