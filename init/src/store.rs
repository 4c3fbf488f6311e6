//! The image store across bake and boot. Freezing moves containerd's unpacked snapshots into the image's own file
//! system; attaching makes a volume use them there through symlinks, so that a boot copies a few hundred kilobytes of
//! metadata and no image data. Starts no containerd and knows no image names.
//!
//! ```text
//! /kubake/store/id                 names this store
//! /kubake/store/metadata/…         containerd's databases, copied at the first boot
//! /kubake/store/snapshots/N/fs     unpacked layers, never copied: /var/lib/containerd/…/snapshots/N links here
//! /kubake/store/blobs/sha256/…     manifests, and packed layers where a `docker build` may need them; linked as well
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::files;

/// Below containerd's root: the overlayfs snapshotter's directory.
const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// Below containerd's root: the content store.
const CONTENT: &str = "io.containerd.content.v1.content";
/// On the volume: which store it was made from; written last.
const MARKER: &str = "kubake-store-id";
/// What containerd keeps below its root that belongs to running containers and dies with them.
const TRANSIENT: &[&str] = &[
    "io.containerd.grpc.v1.cri",
    "io.containerd.runtime.v2.task",
    "io.containerd.sandbox.controller.v1.shim",
    "tmpmounts",
];

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The image holds no store.
    #[error("{path} is missing: this image was never baked; make one with `kubake bake`")]
    NoStore {
        /// Where the store should be.
        path: String,
    },
    /// The volume belongs to another image.
    #[error(
        "the volume at {volume} was made by another baked image (store {found}, this image has {expected}); \
         start with a fresh volume, or with the image that made it"
    )]
    OtherStore {
        /// containerd's root.
        volume: String,
        /// What the volume says.
        found: String,
        /// What the image says.
        expected: String,
    },
    /// A snapshot holds a whiteout, which cannot exist on a container's file system.
    #[error("snapshot {snapshot} holds the whiteout {path}: it was not flattened before the freeze")]
    Whiteout {
        /// The snapshot's number.
        snapshot: String,
        /// The whiteout.
        path: String,
    },
}

/// How the store was attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// The volume had been attached in an earlier life: nothing to do.
    Again,
    /// First boot, layers linked: nothing was copied.
    Linked,
    /// First boot, layers copied, because overlay cannot use them where they lie.
    Copied,
}

/// Attaches the frozen store to containerd's root. Idempotent; a first attach that was interrupted is begun anew.
///
/// # Errors
/// When there is no store, the volume belongs to another one, or the file system refuses.
pub fn attach(frozen: &Path, volume: &Path) -> Result<Attached, StoreError> {
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

/// Moves what containerd holds on its volume into the image's file system. containerd is not running.
///
/// # Errors
/// When a snapshot holds a whiteout or the file system refuses.
pub fn freeze(volume: &Path, frozen: &Path) -> Result<(), StoreError> {
    let snapshots = volume.join(SNAPSHOTTER).join("snapshots");
    for entry in read_directory(&snapshots)? {
        // What was frozen before was looked through before.
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
        let is_transient =
            TRANSIENT.iter().any(|transient| name == *transient) || name == MARKER || name == "lost+found";
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
    let unique = fs::read_to_string("/proc/sys/kernel/random/uuid").map_err(file("read", Path::new("random/uuid")))?;
    fs::write(&id, unique.trim()).map_err(file("write", &id))
}

/// Moves every entry of a directory on the volume into the image. A link leads to what an earlier freeze of the same
/// image moved: it is where it belongs. What the volume has no more is forgotten.
fn keep_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_directory(to)?;
    let mut kept = Vec::new();
    for entry in read_directory(from)? {
        kept.push(entry.file_name());
        if !is_link(&entry)? {
            let destination = to.join(entry.file_name());
            remove_tree(&destination)?;
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

fn is_link(entry: &fs::DirEntry) -> Result<bool, StoreError> {
    Ok(entry.file_type().map_err(file("inspect", &entry.path()))?.is_symlink())
}

/// Links every entry of a directory of the image from one on the volume.
fn link_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    create_directory(to)?;
    for entry in read_directory(from)? {
        let link = to.join(entry.file_name());
        match symlink(entry.path(), &link) {
            // An attach that was interrupted had come this far.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(file("link", &link)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// The first whiteout (character device 0:0, as overlayfs marks a removed file) below a layer.
///
/// # Errors
/// When a directory cannot be read.
pub fn find_whiteout(layer: &Path) -> Result<Option<PathBuf>, StoreError> {
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

/// Whether overlay can use a frozen layer as a lower directory with its upper one on the volume. It cannot where the
/// engine's own storage already stacks two file systems (the kernel's limit: `FILESYSTEM_MAX_STACK_DEPTH`).
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
    // Whatever is left is a few empty directories; containerd does not look at them.
    let _ = fs::remove_dir_all(&trial);
    if let Err(error) = &mounted {
        tracing::warn!("overlay cannot use the image's layers where they lie ({error}); copying them to the volume");
    }
    mounted.is_ok()
}

/// Copies a file or tree with everything that a layer may hold: owners, modes, times, links, devices, capabilities.
fn copy_tree(from: &Path, to: &Path) -> Result<(), StoreError> {
    // coreutils' cp knows hard links, sparse files, xattrs and ACLs; only small metadata is copied on the boot path,
    // and there without a process.
    if is_small(from) {
        return copy_small(from, to);
    }
    let status = std::process::Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([from, to])
        .stdin(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(file("copy", from)(io::Error::other(format!("cp ended with {status}")))),
        Err(source) => Err(file("copy", from)(source)),
    }
}

/// Only plain files and directories: metadata, but no layers.
fn is_small(path: &Path) -> bool {
    path.is_file() || path.ends_with("metadata")
}

fn copy_small(from: &Path, to: &Path) -> Result<(), StoreError> {
    if from.is_dir() {
        create_directory(to)?;
        for entry in read_directory(from)? {
            copy_small(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    } else {
        fs::copy(from, to).map(drop).map_err(file("copy", from))
    }
}

fn create_directory(path: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(file("create", path))
}

fn remove_tree(path: &Path) -> Result<(), StoreError> {
    files::remove(path).map_err(file("remove", path))
}

fn read_directory(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(path).and_then(Iterator::collect).map_err(file("read", path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.display().to_string();
    move |source| StoreError::File { action, path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume as containerd leaves it: one layer, its databases, a running container's leftovers.
    fn volume(root: &Path) -> PathBuf {
        let volume = root.join("volume");
        let snapshot = volume.join(SNAPSHOTTER).join("snapshots/1/fs/bin");
        fs::create_dir_all(&snapshot).unwrap();
        fs::write(snapshot.join("app"), "app").unwrap();
        symlink("app", snapshot.join("link")).unwrap();
        fs::write(volume.join(SNAPSHOTTER).join("metadata.db"), "snapshots").unwrap();
        fs::create_dir_all(volume.join("io.containerd.metadata.v1.bolt")).unwrap();
        fs::write(volume.join("io.containerd.metadata.v1.bolt/meta.db"), "images").unwrap();
        fs::create_dir_all(volume.join("io.containerd.grpc.v1.cri/containers")).unwrap();
        fs::create_dir_all(volume.join(CONTENT).join("blobs/sha256")).unwrap();
        fs::create_dir_all(volume.join(CONTENT).join("ingest")).unwrap();
        fs::write(volume.join(CONTENT).join("blobs/sha256/abc"), "blob").unwrap();
        volume
    }

    #[test]
    fn a_frozen_store_attaches_to_a_fresh_volume_without_copying_layers() {
        let root = tempfile::tempdir().unwrap();
        let frozen = root.path().join("frozen");
        freeze(&volume(root.path()), &frozen).unwrap();
        assert!(!frozen.join("metadata/io.containerd.grpc.v1.cri").exists());

        let fresh = root.path().join("fresh");
        fs::create_dir(&fresh).unwrap();
        let how = attach(&frozen, &fresh).unwrap();
        let app = fresh.join(SNAPSHOTTER).join("snapshots/1/fs/bin/app");
        assert_eq!(fs::read_to_string(app).unwrap(), "app");
        assert_eq!(fs::read_to_string(fresh.join(SNAPSHOTTER).join("metadata.db")).unwrap(), "snapshots");
        assert_eq!(fs::read_to_string(fresh.join("io.containerd.metadata.v1.bolt/meta.db")).unwrap(), "images");
        let blob = fresh.join(CONTENT).join("blobs/sha256/abc");
        assert!(blob.is_symlink());
        assert_eq!(fs::read_to_string(blob).unwrap(), "blob");
        let is_link = fresh.join(SNAPSHOTTER).join("snapshots/1").is_symlink();
        assert_eq!(is_link, how == Attached::Linked);
        assert_eq!(attach(&frozen, &fresh).unwrap(), Attached::Again);
    }

    #[test]
    fn a_second_freeze_keeps_linked_layers_and_drops_forgotten_ones() {
        let root = tempfile::tempdir().unwrap();
        let frozen = root.path().join("frozen");
        let first = volume(root.path());
        freeze(&first, &frozen).unwrap();
        let snapshots = first.join(SNAPSHOTTER).join("snapshots");
        fs::rename(snapshots.join("1"), snapshots.join("3")).unwrap();
        symlink(frozen.join("snapshots/2"), snapshots.join("2")).unwrap();
        fs::create_dir_all(frozen.join("snapshots/2/fs")).unwrap();
        freeze(&first, &frozen).unwrap();
        let blobs = first.join(CONTENT).join("blobs/sha256");
        fs::remove_file(blobs.join("abc")).unwrap();
        symlink(frozen.join("blobs/sha256/abc"), blobs.join("abc")).unwrap();
        freeze(&first, &frozen).unwrap();
        let names = |below: &str| -> Vec<_> {
            read_directory(&frozen.join(below)).unwrap().iter().map(fs::DirEntry::file_name).collect()
        };
        assert_eq!(names("snapshots"), ["2", "3"]);
        assert_eq!(fs::read_to_string(frozen.join("blobs/sha256/abc")).unwrap(), "blob");
    }

    #[test]
    fn a_volume_of_another_image_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let frozen = root.path().join("frozen");
        freeze(&volume(root.path()), &frozen).unwrap();
        let other = root.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join(MARKER), "something else").unwrap();
        let error = attach(&frozen, &other).unwrap_err();
        assert!(matches!(error, StoreError::OtherStore { .. }), "{error}");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
    }

    #[test]
    fn an_image_that_was_never_baked_says_so() {
        let root = tempfile::tempdir().unwrap();
        let error = attach(&root.path().join("frozen"), root.path()).unwrap_err().to_string();
        assert!(error.contains("kubake bake"), "{error}");
    }
}
