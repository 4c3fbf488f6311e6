//! Moves the content of containerd's volume into the image's file system.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::error::{StoreError, file};
use super::layout::{CONTENT, OWN, SNAPSHOTTER, TRANSIENT};
use super::marker;
use super::tree::{copy_tree, create_directory, read_directory, remove_tree};

/// The mark of an opaque directory.
const OPAQUE: &str = "trusted.overlay.opaque";

/// Moves the content of containerd's `volume` into the image's file system. containerd must not run.
///
/// # Errors
/// When a snapshot holds a whiteout or the file system refuses.
pub(crate) fn freeze(volume: &Path, frozen: &Path) -> Result<(), StoreError> {
    let snapshots = volume.join(SNAPSHOTTER).join("snapshots");
    for entry in read_directory(&snapshots)? {
        // An earlier freeze has checked this snapshot.
        if is_link(&entry)? {
            continue;
        }
        if let Some(path) = find_whiteout(&entry.path().join("fs"))? {
            return Err(StoreError::Whiteout {
                snapshot: entry.file_name().to_string_lossy().into_owned(),
                path: path.display().to_string(),
            });
        }
    }
    keep_all(&snapshots, &frozen.join("snapshots"))?;
    keep_all(&volume.join(CONTENT).join("blobs/sha256"), &frozen.join("blobs/sha256"))?;
    let metadata = frozen.join("metadata");
    remove_tree(&metadata)?;
    create_directory(&metadata)?;
    for entry in read_directory(volume)? {
        let name = entry.file_name();
        let is_transient = TRANSIENT.iter().any(|transient| name == *transient)
            || name.to_string_lossy().starts_with(OWN)
            || name == "lost+found";
        if is_transient {
            continue;
        }
        let kept_elsewhere = match name.to_str() {
            Some(SNAPSHOTTER) => "snapshots",
            Some(CONTENT) => "blobs",
            _ => {
                copy_tree(&entry.path(), &metadata.join(&name))?;
                continue;
            }
        };
        create_directory(&metadata.join(&name))?;
        for inner in read_directory(&entry.path())? {
            if inner.file_name() != kept_elsewhere {
                copy_tree(&inner.path(), &metadata.join(&name).join(inner.file_name()))?;
            }
        }
    }
    let id = frozen.join("id");
    fs::write(&id, marker::random()?).map_err(file("write", &id))
}

/// Moves every entry of a directory on the volume into the image. Links stay: they lead to entries that an earlier freeze
/// of the same image moved. Entries that the volume does not have any more are removed from the image.
fn keep_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_directory(to)?;
    let mut kept = Vec::new();
    for entry in read_directory(from)? {
        kept.push(entry.file_name());
        let destination = to.join(entry.file_name());
        // One that is there was copied to the volume meanwhile: neither snapshots nor blobs reuse a name.
        if !is_link(&entry)? && !destination.exists() {
            copy_tree(&entry.path(), &destination)?;
        }
    }
    for entry in read_directory(to)? {
        if !kept.contains(&entry.file_name()) {
            remove_tree(&entry.path())?;
        }
    }
    Ok(())
}

pub(super) fn is_link(entry: &fs::DirEntry) -> Result<bool, StoreError> {
    Ok(entry.file_type().map_err(file("inspect", &entry.path()))?.is_symlink())
}

/// Returns the first path below a layer, or the layer itself, that hides something of the layers below it: a whiteout
/// (character device 0:0, as overlayfs marks a removed file) or an opaque directory (a mark that neither a container's file
/// system nor a commit keeps).
///
/// # Errors
/// When a directory cannot be read.
pub(crate) fn find_whiteout(layer: &Path) -> Result<Option<PathBuf>, StoreError> {
    if is_opaque(layer)? {
        return Ok(Some(layer.to_owned()));
    }
    for entry in read_directory(layer)? {
        let kind = entry.file_type().map_err(file("inspect", &entry.path()))?;
        if kind.is_char_device() {
            use std::os::unix::fs::MetadataExt;
            if entry.metadata().map_err(file("inspect", &entry.path()))?.rdev() == 0 {
                return Ok(Some(entry.path()));
            }
        } else if kind.is_dir() {
            if let Some(found) = find_whiteout(&entry.path())? {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// Whether overlayfs shows nothing of the layers below in this directory (`Documentation/filesystems/overlayfs.rst`).
fn is_opaque(directory: &Path) -> Result<bool, StoreError> {
    let mut value = [0; 1];
    match rustix::fs::lgetxattr(directory, OPAQUE, &mut value) {
        Ok(length) => Ok(value[..length] == *b"y"),
        // Another value is longer, and a file system without attributes has none.
        Err(Errno::NODATA | Errno::RANGE | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(file("inspect", directory)(error.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tree::create_directory;
    use super::*;

    #[test]
    #[ignore = "needs root"]
    fn opaque_directories_are_found_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        create_directory(&deep).unwrap();
        let mark = |path: &Path, value: &[u8]| {
            rustix::fs::lsetxattr(path, OPAQUE, value, rustix::fs::XattrFlags::empty()).unwrap();
        };
        mark(&deep, b"impure");
        assert_eq!(find_whiteout(root.path()).unwrap(), None);
        mark(&deep, b"y");
        assert_eq!(find_whiteout(root.path()).unwrap(), Some(deep));
        mark(root.path(), b"y");
        assert_eq!(find_whiteout(root.path()).unwrap(), Some(root.path().to_owned()));
    }
}
