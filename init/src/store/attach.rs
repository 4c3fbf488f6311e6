//! Makes the frozen store available on containerd's volume.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::error::{StoreError, file};
use super::layout::{CONTENT, LOCK, SNAPSHOTTER};
use super::marker::{self, Marker};
use super::tree::{copy_tree, create_directory, read_directory, remove_tree};
use super::volume::Volume;

/// The outcome of [`Volume::attach`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attached {
    /// An earlier boot attached the store: there was nothing to do.
    Again,
    /// The layers were linked, without copying them.
    Linked,
    /// The layers were copied, because overlay cannot use them in the image's file system.
    Copied,
}

impl Volume {
    /// Attaches the frozen store to this volume, which is containerd's root, and returns the claim of this container on its
    /// state, which is kept in the file `claim`. Idempotent. After an interruption the next call starts again.
    ///
    /// A volume with the state of another container is emptied if no user chose it: `docker compose` hands the anonymous
    /// volumes of a container on to the next one, which has its own etcd and no use for that state.
    ///
    /// # Errors
    /// When there is no store, the volume belongs to another one or cannot hold overlays, or the file system refuses.
    pub(crate) fn attach(&self, frozen: &Path, claim: &Path) -> Result<(Attached, String), StoreError> {
        let expected = Marker { store: read_id(frozen)?, claim: marker::claim(claim)? };
        let attached = match marker::read(&self.path)? {
            Some(found) if found == expected => Attached::Again,
            Some(found) if self.is_anonymous => {
                tracing::warn!(
                    "the volume at {} holds the state of another container, made by the store {}; emptying it",
                    self.path.display(),
                    found.store
                );
                self.empty()?;
                self.populate(frozen)?
            }
            // A user's volume that serves one container of an image after the other.
            Some(found) if found.store == expected.store => Attached::Again,
            Some(found) => {
                return Err(StoreError::OtherStore {
                    volume: self.path.display().to_string(),
                    found: found.store,
                    expected: expected.store,
                });
            }
            None => self.populate(frozen)?,
        };
        marker::write(&self.path, &expected)?;
        Ok((attached, expected.claim))
    }

    fn empty(&self) -> Result<(), StoreError> {
        for entry in read_directory(&self.path)? {
            if entry.file_name() != LOCK {
                remove_tree(&entry.path())?;
            }
        }
        Ok(())
    }

    fn populate(&self, frozen: &Path) -> Result<Attached, StoreError> {
        let volume = &self.path;
        let is_linked = can_stack(frozen, volume)?;
        copy_tree(&frozen.join("metadata"), volume)?;
        link_all(&frozen.join("blobs/sha256"), &volume.join(CONTENT).join("blobs/sha256"))?;
        let snapshots = volume.join(SNAPSHOTTER).join("snapshots");
        if is_linked {
            link_all(&frozen.join("snapshots"), &snapshots)?;
        } else {
            copy_tree(&frozen.join("snapshots"), &snapshots)?;
        }
        Ok(if is_linked { Attached::Linked } else { Attached::Copied })
    }
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
///
/// # Errors
/// When overlay cannot use layers on the volume either: no container could ever start.
fn can_stack(frozen: &Path, volume: &Path) -> Result<bool, StoreError> {
    let trial = volume.join("kubake-trial");
    let lower = trial.join("lower");
    let outcome = match stack(frozen, &trial) {
        Ok(()) => Ok(true),
        Err(error) => match fs::create_dir_all(&lower).and_then(|()| stack(&lower, &trial)) {
            Ok(()) => {
                tracing::warn!(
                    "overlay cannot use the layers in the image's file system ({error}); copying them to the volume"
                );
                Ok(false)
            }
            Err(source) => Err(StoreError::NoOverlay { volume: volume.display().to_string(), source }),
        },
    };
    // If this fails, a few empty directories are left, which containerd ignores.
    let _ = fs::remove_dir_all(&trial);
    outcome
}

fn stack(lower: &Path, trial: &Path) -> io::Result<()> {
    let (upper, work, merged) = (trial.join("upper"), trial.join("work"), trial.join("merged"));
    for directory in [&upper, &work, &merged] {
        fs::create_dir_all(directory)?;
    }
    let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    mount(Some("overlay"), &merged, Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
    // A layer has to hold what an image removes or changes: overlay mounts some file systems, such as NFS, that cannot.
    let written = fs::create_dir(merged.join("new")).and_then(|()| fs::remove_dir(merged.join("new")));
    umount2(&merged, MntFlags::MNT_DETACH)?;
    written
}
