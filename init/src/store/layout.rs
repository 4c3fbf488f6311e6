//! Names of files and directories on containerd's volume, which is containerd's root.

/// The overlayfs snapshotter's directory.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// The content store's directory.
pub(super) const CONTENT: &str = "io.containerd.content.v1.content";
/// What is this program's own on the volume; no part of a store.
pub(super) const OWN: &str = "kubake-";
/// The file that is locked as long as a container uses the volume.
pub(super) const LOCK: &str = "kubake-lock";
/// The file that says which store was attached for which container. It is written last.
pub(super) const MARKER: &str = "kubake-store-id";
/// Directories with the state of running containers, which is useless without them.
pub(super) const TRANSIENT: &[&str] = &[
    "io.containerd.grpc.v1.cri",
    "io.containerd.runtime.v2.task",
    "io.containerd.sandbox.controller.v1.shim",
    "tmpmounts",
];
