//! Flattening: a snapshot chain that holds whiteouts or opaque directories becomes one snapshot of the same name without a
//! parent. A whiteout (character device 0:0) cannot be created on a container's overlay file system, and the mark of an
//! opaque directory is lost there; the frozen store lies on one. A flattened layer hides nothing, so it needs neither. Works only through containerd, which
//! runs meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::paths;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use serde::Deserialize;

use super::inbox::ctr;
use crate::command::Run;
use crate::events::Events;
use crate::phases::BoxError;
use crate::store;

/// Parents of the committed snapshots, by snapshot.
type Parents = BTreeMap<String, Option<String>>;

/// Time limit for the copy of one flattened image.
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
        // containerd removes the snapshots of deleted pods in the background. One that is half removed when containerd ends
        // cannot be frozen.
        return collect_garbage().await;
    }
    let wanted = referenced(&ctr().args(["content", "ls"]).capture().await?);
    // Upper ones first: containerd removes only a snapshot without children.
    for key in deepest_first(&parents) {
        if !chain(&parents, &key).iter().any(|below| tainted.contains(below)) {
            continue;
        }
        if wanted.contains(&key) {
            events.note(format!("flattening {}", key.get(..19).unwrap_or(&key)));
            flatten(&key).await?;
        } else {
            // Only an image above needed it, and that one is flattened by now. containerd's garbage collection may have
            // removed it already.
            let _ = snapshots(&["rm", &key]).await;
        }
    }
    collect_garbage().await
}

/// Makes containerd remove unreferenced content from the disk now instead of later, which the synchronous deletion of a
/// lease does.
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
        None => Err(format!("containerd returned no directory for snapshot {key}").into()),
    }
}

/// Prepares a snapshot. A view would do, because nothing is written, but `ctr` protects only prepared snapshots from garbage
/// collection.
async fn prepare(key: &str, parent: Option<&str>) -> Result<Mount, BoxError> {
    let mut arguments = vec!["prepare", "--mounts", key];
    arguments.extend(parent);
    let mounts: Vec<Mount> = serde_json::from_str(&snapshots(&arguments).await?)?;
    mounts.into_iter().next().ok_or_else(|| "containerd returned no mount for a snapshot".into())
}

/// Returns the directories of a snapshot's layers, the uppermost first.
fn layers(mount: &Mount) -> Vec<PathBuf> {
    let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
    lower.map(|lower| lower.split(':').map(PathBuf::from).collect()).unwrap_or_default()
}

/// Layers mounted as one tree; dropping the value unmounts them.
struct Merged {
    path: PathBuf,
}

impl Merged {
    fn mount(layers: &[PathBuf]) -> Result<Self, BoxError> {
        let path = PathBuf::from(paths::RUN).join("flatten");
        std::fs::create_dir_all(&path)?;
        let empty = PathBuf::from(paths::RUN).join("flatten-empty");
        std::fs::create_dir_all(&empty)?;
        // overlay requires two lower directories when there is no upper one.
        let lower: Vec<String> = layers.iter().chain([&empty]).map(|layer| layer.display().to_string()).collect();
        let options = format!("lowerdir={}", lower.join(":"));
        mount(Some("overlay"), &path, Some("overlay"), MsFlags::MS_RDONLY, Some(options.as_str()))
            .map_err(|error| format!("cannot mount {} layers on {}: {error}", layers.len(), path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Merged {
    fn drop(&mut self) {
        // Lazily: the freeze looks for mounts that are left, and fails if it cannot unmount one.
        let _ = umount2(&self.path, MntFlags::MNT_DETACH);
    }
}

async fn snapshots(arguments: &[&str]) -> Result<String, BoxError> {
    Ok(ctr().args(["snapshots", "--snapshotter", "overlayfs"]).args(arguments).capture().await?)
}

/// Parses `ctr snapshots ls`: `KEY PARENT KIND`, without a parent for the lowest ones.
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

/// Returns the snapshots that images refer to, from the labels in `ctr content ls`.
fn referenced(listing: &str) -> BTreeSet<String> {
    listing
        .split([',', '\t', ' ', '\n'])
        .filter_map(|word| word.strip_prefix("containerd.io/gc.ref.snapshot.overlayfs="))
        .map(str::to_owned)
        .collect()
}

/// Returns a snapshot and everything below it.
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
