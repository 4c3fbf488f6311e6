//! Makes the frozen store available on containerd's volume.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::error::{StoreError, file};
use super::layout::{CONTENT, MARKER, SNAPSHOTTER};
use super::tree::{copy_tree, create_directory, read_directory};

/// The outcome of [`attach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// An earlier boot attached the store: there was nothing to do.
    Again,
    /// The layers were linked, without copying them.
    Linked,
    /// The layers were copied, because overlay cannot use them in the image's file system.
    Copied,
}

/// Attaches the frozen store to `volume`, which is containerd's root. Idempotent. After an interruption the next call
/// starts again.
///
/// # Errors
/// When there is no store, the volume belongs to another one, or the file system refuses.
pub(crate) fn attach(frozen: &Path, volume: &Path) -> Result<Attached, StoreError> {
    let expected = read_id(frozen)?;
    let marker = volume.join(MARKER);
    match fs::read_to_string(&marker) {
        Ok(found) if found == expected => return Ok(Attached::Again),
        Ok(found) => {
            return Err(StoreError::OtherStore { volume: volume.display().to_string(), found, expected });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(file("read", &marker)(source)),
    }
    copy_tree(&frozen.join("metadata"), volume)?;
    link_all(&frozen.join("blobs/sha256"), &volume.join(CONTENT).join("blobs/sha256"))?;
    let snapshots = volume.join(SNAPSHOTTER).join("snapshots");
    let is_linked = can_stack(frozen, volume);
    if is_linked {
        link_all(&frozen.join("snapshots"), &snapshots)?;
    } else {
        copy_tree(&frozen.join("snapshots"), &snapshots)?;
    }
    fs::write(&marker, &expected).map_err(file("write", &marker))?;
    Ok(if is_linked { Attached::Linked } else { Attached::Copied })
}

/// Creates a link in `to`, on the volume, for every entry of `from`, in the image.
fn link_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_directory(to)?;
    for entry in read_directory(from)? {
        let link = to.join(entry.file_name());
        match symlink(entry.path(), &link) {
            // An interrupted attach has created some links.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(file("link", &link)(error)),
            _ => {}
        }
    }
    Ok(())
}

fn read_id(frozen: &Path) -> Result<String, StoreError> {
    let path = frozen.join("id");
    match fs::read_to_string(&path) {
        Ok(id) => Ok(id),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(StoreError::NoStore { path: path.display().to_string() })
        }
        Err(source) => Err(file("read", &path)(source)),
    }
}

/// Whether overlay can use a frozen layer as lower directory with its upper directory on the volume. It cannot where the
/// engine's storage stacks two file systems already (the kernel's limit: `FILESYSTEM_MAX_STACK_DEPTH`).
fn can_stack(frozen: &Path, volume: &Path) -> bool {
    let trial = volume.join("kubake-trial");
    let mounted = (|| -> io::Result<()> {
        let (upper, work, merged) = (trial.join("upper"), trial.join("work"), trial.join("merged"));
        for directory in [&upper, &work, &merged] {
            fs::create_dir_all(directory)?;
        }
        let options = format!("lowerdir={},upperdir={},workdir={}", frozen.display(), upper.display(), work.display());
        mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        umount2(&merged, MntFlags::MNT_DETACH)?;
        Ok(())
    })();
    // If this fails, a few empty directories are left, which containerd ignores.
    let _ = fs::remove_dir_all(&trial);
    if let Err(error) = &mounted {
        tracing::warn!(
            "overlay cannot use the layers in the image's file system ({error}); copying them to the volume"
        );
    }
    mounted.is_ok()
}
