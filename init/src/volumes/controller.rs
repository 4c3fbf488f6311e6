//! The controller: follows claims and volumes, makes a directory and an object for each claim that asks for one, and
//! removes both when the claim is gone. After any failure it lists again.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::error_chain::chain;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::sleep;

use super::claim::{self, Decision};
use super::volume;
use crate::api::{ApiError, Client, WatchKind};
use crate::files;

const CLAIMS: &str = "/api/v1/persistentvolumeclaims";
const VOLUMES: &str = "/api/v1/persistentvolumes";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";
/// A watch that is silent for longer is opened again: the API server sends bookmarks about once a minute.
const IDLE: Duration = Duration::from_secs(150);
/// Pause before the next list.
const PAUSE: Duration = Duration::from_secs(1);

/// A request or a directory that failed; the next list tries again.
#[derive(Debug, thiserror::Error)]
enum ControllerError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("cannot change {}", path.display())]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Debug, Deserialize)]
struct List {
    metadata: Value,
    items: Vec<Value>,
}

/// Serves claims of this controller's classes until the future is dropped. Volumes are directories in `directory`, on the
/// node with this name.
pub(crate) async fn follow(client: Client, node: String, directory: PathBuf) {
    let (client, node, directory) = (&client, node.as_str(), directory.as_path());
    tokio::join!(
        each(client, CLAIMS, |claim, kind| provision(client, node, directory, claim, kind)),
        each(client, VOLUMES, |volume, kind| reclaim(client, directory, volume, kind)),
    );
}

/// Hands every object of a list to `act`, then every change.
async fn each<F>(client: &Client, path: &str, act: impl Fn(Value, WatchKind) -> F)
where
    F: Future<Output = Result<(), ControllerError>>,
{
    loop {
        if let Err(error) = list_and_watch(client, path, &act).await {
            tracing::warn!("volumes: {}", chain(&error));
        }
        sleep(PAUSE).await;
    }
}

async fn list_and_watch<F>(
    client: &Client,
    path: &str,
    act: &impl Fn(Value, WatchKind) -> F,
) -> Result<(), ControllerError>
where
    F: Future<Output = Result<(), ControllerError>>,
{
    let list: List = client.get(path).await?;
    for item in list.items {
        act(item, WatchKind::Added).await?;
    }
    let version = list.metadata["resourceVersion"].as_str().unwrap_or_default();
    let path = format!("{path}?watch=1&allowWatchBookmarks=true&resourceVersion={version}");
    let mut watch = client.watch::<Value>(&path, IDLE).await?;
    // Most likely the resource version is too old at the end: list again.
    while let Some(Ok(event)) = watch.next().await {
        act(event.object, event.kind).await?;
    }
    Ok(())
}

async fn provision(
    client: &Client,
    node: &str,
    directory: &Path,
    claim: Value,
    kind: WatchKind,
) -> Result<(), ControllerError> {
    if kind == WatchKind::Deleted {
        return Ok(());
    }
    let class = match claim::judge(&claim, node) {
        Decision::Wait => return Ok(()),
        Decision::Make { class } => class,
        Decision::Refuse { reason } => {
            let namespace = claim["metadata"]["namespace"].as_str().unwrap_or_default();
            let path = format!("/api/v1/namespaces/{namespace}/events");
            return Ok(client.create(&path, &claim::refusal(&claim, reason)).await.map(drop)?);
        }
    };
    let class: Value = match client.get(&format!("{CLASSES}/{class}")).await {
        // The claim waits until the class is there again; kubelet and the controller manager say so.
        Err(error) if error.is_not_found() => return Ok(()),
        class => class?,
    };
    if claim::waits_for_consumer(&claim, &class) {
        return Ok(());
    }
    let Some(name) = volume::name(&claim) else { return Ok(()) };
    let path = directory.join(&name);
    volume::make(&path).map_err(|source| ControllerError::Directory { path: path.clone(), source })?;
    match client.create(VOLUMES, &volume::object(&name, &path, &claim, &class, node)).await {
        Err(error) if error.is_conflict() => Ok(()),
        created => Ok(created.map(drop)?),
    }
}

async fn reclaim(client: &Client, directory: &Path, volume: Value, kind: WatchKind) -> Result<(), ControllerError> {
    let is_gone = kind == WatchKind::Deleted;
    let Some(path) = volume::removable(&volume, directory, is_gone) else { return Ok(()) };
    // A large tree takes long, and this program has only one thread.
    let removed = path.clone();
    let outcome = tokio::task::spawn_blocking(move || files::remove(&removed)).await;
    let outcome = outcome.map_err(io::Error::other).and_then(|removed| removed);
    outcome.map_err(|source| ControllerError::Directory { path, source })?;
    if is_gone || !volume["metadata"]["deletionTimestamp"].is_null() {
        return Ok(());
    }
    let name = volume["metadata"]["name"].as_str().unwrap_or_default();
    match client.delete(&format!("{VOLUMES}/{name}")).await {
        Err(error) if error.is_not_found() => Ok(()),
        deleted => Ok(deleted?),
    }
}
