//! Tests of freezing and attaching, in plain directories.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::layout::{CONTENT, MARKER, SNAPSHOTTER};
use super::tree::read_directory;
use super::{Attached, Volume, copy_layers, freeze, is_linked};
use crate::host::test_namespace::in_namespace;

/// A volume as containerd leaves it: one layer, its databases, the state of a running container.
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

/// Attaches as the container whose claim is in the file `claim` of the same name beside the volume.
fn attach_as(claim: &str, frozen: &Path, volume: &Path, is_anonymous: bool) -> Result<(Attached, String), StoreError> {
    Volume::of_a_test(volume, is_anonymous).attach(frozen, &volume.with_extension(claim))
}

fn attach(frozen: &Path, volume: &Path) -> Result<Attached, StoreError> {
    attach_as("me", frozen, volume, false).map(|(attached, _)| attached)
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
    fs::write(other.join(MARKER), "something else\nanother container\n").unwrap();
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

#[test]
fn linked_layers_can_be_copied_and_are_frozen_only_once() {
    let root = tempfile::tempdir().unwrap();
    let (frozen, fresh) = (root.path().join("frozen"), root.path().join("fresh"));
    freeze(&volume(root.path()), &frozen).unwrap();
    let snapshots = fresh.join(SNAPSHOTTER).join("snapshots");
    fs::create_dir_all(&snapshots).unwrap();
    fs::create_dir_all(fresh.join(CONTENT).join("blobs/sha256")).unwrap();
    symlink(frozen.join("snapshots/1"), snapshots.join("1")).unwrap();
    assert!(is_linked(&fresh).unwrap());
    copy_layers(&fresh).unwrap();
    assert!(!is_linked(&fresh).unwrap());
    assert_eq!(fs::read_to_string(snapshots.join("1/fs/bin/app")).unwrap(), "app");
    fs::write(frozen.join("snapshots/1/fs/bin/app"), "frozen before").unwrap();
    freeze(&fresh, &frozen).unwrap();
    assert_eq!(fs::read_to_string(frozen.join("snapshots/1/fs/bin/app")).unwrap(), "frozen before");
}

#[test]
fn a_marker_that_a_full_disk_cut_off_counts_as_none() {
    let root = tempfile::tempdir().unwrap();
    let (frozen, fresh) = (root.path().join("frozen"), root.path().join("fresh"));
    freeze(&volume(root.path()), &frozen).unwrap();
    fs::create_dir(&fresh).unwrap();
    fs::write(fresh.join(MARKER), "").unwrap();
    assert_ne!(attach(&frozen, &fresh).unwrap(), Attached::Again);
    assert_eq!(attach(&frozen, &fresh).unwrap(), Attached::Again);
}

#[test]
fn a_new_container_empties_an_anonymous_volume_and_keeps_a_users() {
    for is_anonymous in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let (frozen, shared) = (root.path().join("frozen"), root.path().join("shared"));
        freeze(&volume(root.path()), &frozen).unwrap();
        fs::create_dir(&shared).unwrap();
        let (_, first) = attach_as("first", &frozen, &shared, is_anonymous).unwrap();
        fs::write(shared.join("pulled"), "").unwrap();
        assert_eq!(attach_as("first", &frozen, &shared, is_anonymous).unwrap(), (Attached::Again, first.clone()));
        let (attached, second) = attach_as("second", &frozen, &shared, is_anonymous).unwrap();
        assert_ne!(first, second);
        assert_eq!((attached == Attached::Again, shared.join("pulled").exists()), (!is_anonymous, !is_anonymous));
        // The image was updated.
        fs::write(frozen.join("id"), "another store").unwrap();
        assert_eq!(attach_as("third", &frozen, &shared, is_anonymous).is_ok(), is_anonymous);
    }
}

#[test]
#[ignore = "needs root"]
fn a_volume_that_cannot_hold_overlays_is_refused_with_the_cause() {
    use nix::mount::{MsFlags, mount};
    in_namespace(|| {
        let root = tempfile::tempdir().unwrap();
        let frozen = root.path().join("frozen");
        freeze(&volume(root.path()), &frozen).unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["lower", "upper", "work", "overlay"] {
            fs::create_dir(path(name)).unwrap();
        }
        let (lower, upper, work) = (path("lower"), path("upper"), path("work"));
        let options = format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        mount(Some("o"), &path("overlay"), Some("overlay"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let error = attach(&frozen, &path("overlay")).unwrap_err();
        assert!(matches!(error, StoreError::NoOverlay { .. }), "{error}");
        assert!(error.to_string().contains("ext4"), "{error}");
        assert_eq!(fs::read_dir(path("overlay")).unwrap().count(), 0);
    });
}
