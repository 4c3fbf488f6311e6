//! Moments at which hooks run.

/// On the host: the build container of the cluster half is filled and has not begun.
pub const BEFORE_SETUP: &str = "before-setup";
/// On the host: the cluster half is done and the build container has ended; it is not committed yet.
pub const AFTER_SETUP: &str = "after-setup";
/// In the build container: containerd and dockerd run, kubeadm has not begun.
pub const BEFORE_CLUSTER: &str = "before-cluster";
/// In the build container: the cluster is ready.
pub const AFTER_CLUSTER: &str = "after-cluster";
/// In a booting container: it has its network and its identity, and nothing was started.
pub const BEFORE_BOOT: &str = "before-boot";
/// In a container that is ready for the first time in this boot.
pub const KUBERNETES_READY: &str = "kubernetes-ready";

/// Run by `kubake bake` on its host.
pub const HOST: [&str; 2] = [BEFORE_SETUP, AFTER_SETUP];
/// Run in the build container.
pub const BAKE: [&str; 2] = [BEFORE_CLUSTER, AFTER_CLUSTER];
/// Kept in the image and run at every boot.
pub const BOOT: [&str; 2] = [BEFORE_BOOT, KUBERNETES_READY];
