//! What `kubake-init` does, by its first argument. Without one it boots.

/// Bake, first half: import the archives of the inbox and freeze the image store.
pub const BAKE_IMAGES: &str = "bake-images";
/// Bake, second half: bring the cluster up with kubeadm, run hooks, freeze it.
pub const BAKE_CLUSTER: &str = "bake-cluster";
/// Bake on top of a baked image: boot its cluster, import the archives of the inbox, run hooks, freeze it again.
pub const BAKE_CUSTOM: &str = "bake-custom";
/// Asks the supervisor whether the cluster is ready; what the baked image's `HEALTHCHECK` runs.
pub const HEALTHCHECK: &str = "healthcheck";
/// Internal: the supervisor that the PID 1 stub starts.
pub const SUPERVISE: &str = "supervise";
