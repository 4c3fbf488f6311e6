//! Flattening: a snapshot chain that holds whiteouts becomes one snapshot of the same name without a parent. A
//! whiteout (character device 0:0) cannot be created on a container's overlay file system, and the frozen store lies
//! on one; a flattened layer hides nothing, so it needs none. Runs while containerd does, and only it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::Deserialize;

use super::inbox::ctr;
use crate::command::Run;
use crate::events::Events;
use crate::phases::BoxError;
use crate::store;
use kubake_contract::paths;

/// A committed snapshot and the one below it.
type Parents = BTreeMap<String, Option<String>>;

/// How long copying one flattened image may take.
const COPY_TIMEOUT: Duration = Duration::from_secs(1800);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mount {
    source: String,
    options: Vec<String>,
}

/// Flattens every image whose layers hold whiteouts.
pub(super) async fn flatten_whiteouts(events: Events) -> Result<(), BoxError> {
    let parents = parents(&snapshots(&["ls"]).await?);
    let mut tainted = BTreeSet::new();
    for key in parents.keys() {
        if holds_whiteout(key).await? {
            tainted.insert(key.clone());
        }
    }
    if tainted.is_empty() {
        // Pods that are gone have snapshots that go when containerd finds the time, and one that is half gone when it ends
        // cannot be frozen.
        return collect_garbage().await;
    }
    let wanted = referenced(&ctr().args(["content", "ls"]).capture().await?);
    // Upper ones first: a snapshot can only be removed when nothing stands on it.
    for key in deepest_first(&parents) {
        if !chain(&parents, &key).iter().any(|below| tainted.contains(below)) {
            continue;
        }
        if wanted.contains(&key) {
            events.note(format!("flattening {}", key.get(..19).unwrap_or(&key)));
            flatten(&key).await?;
        } else {
            // Only there for an image above it, which stands on its own by now. containerd's garbage collection may
            // have been quicker.
            let _ = snapshots(&["rm", &key]).await;
        }
    }
    collect_garbage().await
}

/// Makes containerd remove from the disk what nothing refers to any more, now and not some time later: it does so when
/// a lease is given back and the caller wants to wait for it.
async fn collect_garbage() -> Result<(), BoxError> {
    ctr().args(["leases", "create", "--id", "kubake-garbage"]).capture().await?;
    ctr().args(["leases", "delete", "--sync", "kubake-garbage"]).capture().await?;
    Ok(())
}

async fn flatten(key: &str) -> Result<(), BoxError> {
    let (view, fresh) = (format!("{key}-kubake-view"), format!("{key}-kubake-flat"));
    let layers = layers(&prepare(&view, Some(key)).await?);
    // Without a parent a snapshot is a plain directory.
    let target = PathBuf::from(prepare(&fresh, None).await?.source);
    let merged = Merged::mount(&layers)?;
    Run::new("cp")
        .arg("--archive")
        .arg("--no-target-directory")
        .args([&merged.path, &target])
        .timeout(COPY_TIMEOUT)
        .capture()
        .await?;
    drop(merged);
    snapshots(&["rm", &view]).await?;
    snapshots(&["rm", key]).await?;
    snapshots(&["commit", key, &fresh]).await?;
    Ok(())
}

/// Whether the snapshot's own layer (not those below it) holds a whiteout.
async fn holds_whiteout(key: &str) -> Result<bool, BoxError> {
    let look = format!("{key}-kubake-look");
    let layers = layers(&prepare(&look, Some(key)).await?);
    snapshots(&["rm", &look]).await?;
    match layers.first() {
        Some(layer) => Ok(store::find_whiteout(layer)?.is_some()),
        None => Err(format!("containerd names no directory for snapshot {key}").into()),
    }
}

/// Prepared, not viewed, though nothing is written: only what `ctr` prepares is safe from garbage collection.
async fn prepare(key: &str, parent: Option<&str>) -> Result<Mount, BoxError> {
    let mut arguments = vec!["prepare", "--mounts", key];
    arguments.extend(parent);
    let mounts: Vec<Mount> = serde_json::from_str(&snapshots(&arguments).await?)?;
    mounts.into_iter().next().ok_or_else(|| "containerd gave no mount for a snapshot".into())
}

/// The directories of a snapshot's layers, the uppermost first.
fn layers(mount: &Mount) -> Vec<PathBuf> {
    let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
    lower.map(|lower| lower.split(':').map(PathBuf::from).collect()).unwrap_or_default()
}

/// Layers as one tree, for as long as the value lives.
struct Merged {
    path: PathBuf,
}

impl Merged {
    fn mount(layers: &[PathBuf]) -> Result<Self, BoxError> {
        let path = PathBuf::from(paths::RUN).join("flatten");
        std::fs::create_dir_all(&path)?;
        let empty = PathBuf::from(paths::RUN).join("flatten-empty");
        std::fs::create_dir_all(&empty)?;
        // overlay wants two lower directories when there is no upper one.
        let lower: Vec<String> = layers.iter().chain([&empty]).map(|layer| layer.display().to_string()).collect();
        let options = format!("lowerdir={}", lower.join(":"));
        mount(Some("overlay"), &path, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))
            .map_err(|error| format!("cannot mount {} layers on {}: {error}", layers.len(), path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        // Lazily: the freeze looks for whatever is left mounted, and says so if it cannot be unmounted.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

async fn snapshots(arguments: &[&str]) -> Result<String, BoxError> {
    Ok(ctr().args(["snapshots", "--snapshotter", "overlayfs"]).args(arguments).capture().await?)
}

/// Reads `ctr snapshots ls`: `KEY PARENT KIND`, with no parent for the lowest ones.
fn parents(listing: &str) -> Parents {
    listing
        .lines()
        .skip(1)
        .filter_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [key, parent, "Committed"] => Some((key.to_owned(), Some(parent.to_owned()))),
            [key, "Committed"] => Some((key.to_owned(), None)),
            _ => None,
        })
        .collect()
}

/// The snapshots that images refer to, from the labels in `ctr content ls`.
fn referenced(listing: &str) -> BTreeSet<String> {
    listing
        .split([',', '\t', ' ', '\n'])
        .filter_map(|word| word.strip_prefix("containerd.io/gc.ref.snapshot.overlayfs="))
        .map(str::to_owned)
        .collect()
}

/// A snapshot and everything below it.
fn chain(parents: &Parents, key: &str) -> Vec<String> {
    let mut chain = vec![key.to_owned()];
    while let Some(Some(parent)) = chain.last().and_then(|last| parents.get(last)) {
        if chain.contains(parent) {
            break;
        }
        chain.push(parent.clone());
    }
    chain
}

fn deepest_first(parents: &Parents) -> Vec<String> {
    let mut keys: Vec<(usize, String)> = parents.keys().map(|key| (chain(parents, key).len(), key.clone())).collect();
    keys.sort_by(|one, other| other.cmp(one));
    keys.into_iter().map(|(_, key)| key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
KEY                PARENT      KIND
sha256:base                    Committed
sha256:app         sha256:base Committed
sha256:top         sha256:app  Committed
k8s-container-1    sha256:top  Active
";

    #[test]
    fn chains_are_read_from_the_listing_and_uppers_come_first() {
        let parents = parents(LISTING);
        assert_eq!(parents.len(), 3);
        assert_eq!(chain(&parents, "sha256:top"), ["sha256:top", "sha256:app", "sha256:base"]);
        assert_eq!(deepest_first(&parents), ["sha256:top", "sha256:app", "sha256:base"]);
    }

    #[test]
    fn image_references_are_found_among_labels() {
        let listing =
            "DIGEST\tSIZE\tAGE\tLABELS\nsha256:1\t1kB\t1s\tcontainerd.io/gc.ref.snapshot.overlayfs=sha256:top,x=y\n";
        assert_eq!(referenced(listing), BTreeSet::from(["sha256:top".to_owned()]));
    }

    #[test]
    fn layers_come_uppermost_first() {
        let json = r#"{"Type":"overlay","Source":"overlay","Target":"","Options":["upperdir=/s/5/fs","lowerdir=/s/4/fs:/s/3/fs","index=off"]}"#;
        let mount: Mount = serde_json::from_str(json).unwrap();
        assert_eq!(layers(&mount), [PathBuf::from("/s/4/fs"), PathBuf::from("/s/3/fs")]);
    }
}
