//! Names on containerd's volume.

/// Below containerd's root: the overlayfs snapshotter's directory.
pub(super) const SNAPSHOTTER: &str = "io.containerd.snapshotter.v1.overlayfs";
/// Below containerd's root: the content store.
pub(super) const CONTENT: &str = "io.containerd.content.v1.content";
/// On the volume: which store it was made from; written last.
pub(super) const MARKER: &str = "kubake-store-id";
/// What containerd keeps below its root that belongs to running containers and dies with them.
pub(super) const TRANSIENT: &[&str] = &[
    "io.containerd.grpc.v1.cri",
    "io.containerd.runtime.v2.task",
    "io.containerd.sandbox.controller.v1.shim",
    "tmpmounts",
];
