//! Where the data of volumes lies: in a directory of containerd's volume that belongs to this container, mounted where
//! kubelet and the controller look for it. At the first boot that directory gets the content of baked claims.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::paths;
use nix::mount::{MsFlags, mount};

use super::error::{VolumesError, file};
use crate::command::Run;
use crate::files::remove;
use crate::host::mountinfo;

/// The directory on containerd's volume that has one directory for each container that used it. A user may give a volume
/// to one container after the other.
const DATA: &str = "kubake-data";
/// Names of the two directories in that of a container.
const VOLUMES: &str = "volumes";
const PODS: &str = "pods";
/// Suffix of the names of archives.
pub(super) const SUFFIX: &str = ".tar";
/// Time limit for the content of one claim.
pub(super) const COPY_TIMEOUT: Duration = Duration::from_secs(1800);

/// Prepares the directory of the container that is known by `claim` on `volume`, and mounts its parts on
/// [`paths::VOLUMES`] and [`paths::PODS`], unless the user mounted something there.
///
/// # Errors
/// [`VolumesError`]; the next boot tries again.
pub(crate) async fn attach(volume: &Path, claim: &str) -> Result<(), VolumesError> {
    let data = prepare(volume, claim, Path::new(paths::FROZEN_VOLUMES)).await?;
    let mounts = mountinfo::current()?;
    for (name, path) in [(VOLUMES, paths::VOLUMES), (PODS, paths::PODS)] {
        let path = Path::new(path);
        if mountinfo::at(&mounts, path).is_none() {
            bind(&data.join(name), path)?;
        }
    }
    Ok(())
}

/// Makes the directory of the container, complete or not at all.
async fn prepare(volume: &Path, claim: &str, frozen: &Path) -> Result<PathBuf, VolumesError> {
    let data = volume.join(DATA).join(claim);
    if data.exists() {
        return Ok(data);
    }
    let fresh = volume.join(DATA).join(format!("{claim}.new"));
    remove(&fresh).map_err(file("remove", &fresh))?;
    create(&fresh.join(VOLUMES))?;
    create(&fresh.join(PODS))?;
    for (name, archive) in archives(frozen)? {
        let target = fresh.join(VOLUMES).join(&name);
        create(&target)?;
        // tar and no copy, because an image cannot hold what a file system can: whiteouts and marks of overlay in the data
        // of container engines. Its first entry sets the owner and mode of the directory itself.
        Run::new("tar")
            .args(["--extract", "--numeric-owner", "--same-owner", "--preserve-permissions", "--acls", "--xattrs"])
            .args(["--xattrs-include=*", "--file"])
            .arg(&archive)
            .arg("--directory")
            .arg(&target)
            .timeout(COPY_TIMEOUT)
            .capture()
            .await
            .map_err(|source| VolumesError::Archive { name, source: Box::new(source) })?;
    }
    fs::rename(&fresh, &data).map_err(file("create", &data))?;
    Ok(data)
}

/// The frozen claims: the names of their volumes and their archives.
pub(super) fn archives(frozen: &Path) -> Result<Vec<(String, PathBuf)>, VolumesError> {
    let entries = match fs::read_dir(frozen) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(file("read", frozen)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(file("read", frozen))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(name) = name {
            found.push((name.to_owned(), path.clone()));
        }
    }
    found.sort();
    Ok(found)
}

fn create(path: &Path) -> Result<(), VolumesError> {
    // Pods reach their volumes by mounts; programs in the node that are not root's need no way to them.
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(file("create", path))
}

/// Mounts `from` on `to` as a mount of its own: it must not be a peer of the one on which `from` lies, where every mount of
/// a pod would appear a second time.
fn bind(from: &Path, to: &Path) -> Result<(), VolumesError> {
    create(to)?;
    let call = |from: Option<&Path>, flags| {
        mount(from, to, None::<&str>, flags, None::<&str>).map_err(|source| VolumesError::Mount {
            source_path: from.unwrap_or(to).display().to_string(),
            path: to.display().to_string(),
            source,
        })
    };
    call(Some(from), MsFlags::MS_BIND)?;
    call(None, MsFlags::MS_PRIVATE)?;
    call(None, MsFlags::MS_SHARED)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::super::freeze::freeze_at;
    use super::*;

    #[tokio::test]
    async fn a_baked_claim_is_there_at_the_first_boot_and_removed_ones_stay_away() {
        let root = tempfile::tempdir().unwrap();
        let (baked, frozen, volume) =
            (root.path().join("baked"), root.path().join("frozen"), root.path().join("volume"));
        let claim = baked.join("pvc-1");
        fs::create_dir_all(claim.join("topic")).unwrap();
        fs::set_permissions(&claim, PermissionsExt::from_mode(0o2777)).unwrap();
        fs::write(claim.join("topic/log"), "kept").unwrap();
        fs::hard_link(claim.join("topic/log"), claim.join("topic/same")).unwrap();
        freeze_at(&baked, &frozen, &root.path().join("scratch")).await.unwrap();

        let data = prepare(&volume, "me", &frozen).await.unwrap();
        let there = data.join("volumes/pvc-1");
        assert_eq!(fs::read_to_string(there.join("topic/log")).unwrap(), "kept");
        assert_eq!(fs::metadata(&there).unwrap().permissions().mode() & 0o7777, 0o2777);
        let inode = |name: &str| fs::metadata(there.join(name)).unwrap().ino();
        assert_eq!(inode("topic/log"), inode("topic/same"));
        fs::rename(there.join("topic"), there.join("renamed")).unwrap();
        fs::remove_dir_all(&there).unwrap();
        prepare(&volume, "me", &frozen).await.unwrap();
        assert!(!there.exists(), "the claim was deleted since");
        assert!(prepare(&volume, "another", &frozen).await.unwrap().join("volumes/pvc-1/topic/log").exists());
    }
}
