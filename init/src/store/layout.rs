//! Names of files and directories on containerd's volume, which is containerd's root.

/// The overlayfs snapshotter's directory.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// The content store's directory.
pub(super) const CONTENT: &str = "io.containerd.content.v1.content";
/// The file with the id of the attached store. It is written last.
pub(super) const MARKER: &str = "kubake-store-id";
/// Directories with the state of running containers, which is useless without them.
pub(super) const TRANSIENT: &[&str] = &[
    "io.containerd.grpc.v1.cri",
    "io.containerd.runtime.v2.task",
    "io.containerd.sandbox.controller.v1.shim",
    "tmpmounts",
];
