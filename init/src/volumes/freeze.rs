//! Puts the content of claims into the image, one archive for each. Runs at the end of a bake, when no pod runs.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use kubake_contract::paths;

use super::error::{VolumesError, file};
use super::place::{COPY_TIMEOUT, SUFFIX, archives};
use crate::command::Run;
use crate::files::remove;

/// Archives the claims of the bake's cluster, and forgets those that are gone.
///
/// # Errors
/// [`VolumesError`]; the bake cannot continue.
pub(crate) async fn freeze() -> Result<(), VolumesError> {
    let scratch = Path::new(paths::CONTAINERD_ROOT).join("kubake-archive");
    freeze_at(Path::new(paths::VOLUMES), Path::new(paths::FROZEN_VOLUMES), &scratch).await
}

pub(super) async fn freeze_at(volumes: &Path, frozen: &Path, scratch: &Path) -> Result<(), VolumesError> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(volumes).map_err(file("read", volumes))? {
        let entry = entry.map_err(file("read", volumes))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !entry.file_type().map_err(file("inspect", &entry.path()))?.is_dir() {
            continue;
        }
        archive(&entry.path(), scratch, &name).await?;
        let target = frozen.join(format!("{name}{SUFFIX}"));
        // An image on a baked image holds only what changed.
        if !is_same(scratch, &target).map_err(file("compare", &target))? {
            fs::create_dir_all(frozen).map_err(file("create", frozen))?;
            fs::copy(scratch, &target).map_err(file("write", &target))?;
        }
        remove(scratch).map_err(file("remove", scratch))?;
        kept.push(name);
    }
    for (name, path) in archives(frozen)? {
        if !kept.contains(&name) {
            remove(&path).map_err(file("remove", &path))?;
        }
    }
    Ok(())
}

async fn archive(directory: &Path, archive: &Path, name: &str) -> Result<(), VolumesError> {
    // No access times and a fixed order: the same content gives the same archive.
    Run::new("tar")
        .args(["--create", "--format=posix", "--pax-option=delete=atime,delete=ctime", "--sort=name", "--sparse"])
        .args(["--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(directory)
        .arg(".")
        .timeout(COPY_TIMEOUT)
        .capture()
        .await
        .map(drop)
        .map_err(|source| VolumesError::Archive { name: name.to_owned(), source: Box::new(source) })
}

fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    if !other.exists() || fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (io::BufReader::new(File::open(one)?), File::open(other)?);
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = one.read(&mut left)?;
        if read == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..read])?;
        if left[..read] != right[..read] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[tokio::test]
    async fn an_unchanged_claim_is_not_written_again_and_a_deleted_one_goes() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["pvc-1", "pvc-2", "pvc-3"] {
            fs::create_dir_all(path("volumes").join(name)).unwrap();
            fs::write(path("volumes").join(name).join("file"), name).unwrap();
        }
        let freeze = || async { freeze_at(&path("volumes"), &path("frozen"), &path("scratch")).await.unwrap() };
        freeze().await;
        let written = |name: &str| fs::metadata(path("frozen").join(name)).unwrap();
        let (first, second) = (written("pvc-1.tar"), written("pvc-2.tar"));
        fs::write(path("volumes/pvc-2/file"), "other").unwrap();
        fs::remove_dir_all(path("volumes/pvc-3")).unwrap();
        freeze().await;
        assert_eq!(written("pvc-1.tar").mtime_nsec(), first.mtime_nsec());
        assert_ne!(written("pvc-2.tar").mtime_nsec(), second.mtime_nsec());
        assert!(!path("frozen/pvc-3.tar").exists() && !path("scratch").exists());
    }
}
