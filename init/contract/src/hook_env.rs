//! Variables that hooks get.

/// The moment, such as `before-boot`.
pub const MOMENT: &str = "KUBAKE_HOOK";
/// The version of Kubernetes with its leading `v`.
pub const KUBERNETES_VERSION: &str = "KUBERNETES_VERSION";
/// The node's fixed address.
pub const STATIC_IP: &str = "STATIC_IP";
/// In the container: the administrator's kubeconfig; there from `after-cluster` on.
pub const KUBECONFIG: &str = "KUBECONFIG";
/// In the container: dockerd's socket.
pub const DOCKER_HOST: &str = "DOCKER_HOST";
/// On the host: the engine's program, to be called with the container's id.
pub const ENGINE: &str = "KUBAKE_ENGINE";
/// All of them, and what no program works without: no secret may have these names.
pub const RESERVED: [&str; 8] =
    [MOMENT, KUBERNETES_VERSION, STATIC_IP, KUBECONFIG, DOCKER_HOST, ENGINE, "PATH", "HOME"];
