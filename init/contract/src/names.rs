//! Names that users see in kubeconfigs and in `kubectl get nodes`.

/// The node, and the cluster, user and context in every kubeconfig that is served.
pub const CLUSTER: &str = "kind";
/// A name in the API server's certificate that never changes, so that a kubeconfig verifies whatever
/// address it uses (`tls-server-name`).
pub const TLS_SERVER: &str = "kubernetes";
/// The namespace of containerd in which Kubernetes and Docker share one image store.
pub const CONTAINERD_NAMESPACE: &str = "k8s.io";
/// The repository under which control-plane images are built on the host, before the bake gives them the
/// names that kubeadm expects.
pub const BUILD_REPOSITORY: &str = "kubake";
/// The StorageClass that every cluster has as its default.
pub const STORAGE_CLASS: &str = "standard";
/// A name of the node that no other host has.
pub const NODE: &str = "control-plane.kubake.internal";
