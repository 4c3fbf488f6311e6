//! Labels on everything that `kubake` creates in an engine, so that it can be found and removed again.

/// On containers and volumes: the cluster's name.
pub const CLUSTER: &str = "io.kubake.cluster";
/// On build containers: the process id of the `kubake` that started them.
pub const BUILD: &str = "io.kubake.build";
/// On containers: a value of their creation alone, by which a creation that was interrupted is found.
pub const CREATION: &str = "io.kubake.creation";
/// On containers: `token` when one guards their credentials.
pub const GUARD: &str = "io.kubake.guard";
/// On containers: what `kubake up` passed to them from the host: JSON of name -> redacted value.
pub const HOST_CONTEXT: &str = "io.kubake.handed-on";
/// On images: the version of Kubernetes.
pub const KUBERNETES_VERSION: &str = "io.kubake.kubernetes-version";
/// On images: `appliance`, `images` or [`BAKED`].
pub const STAGE: &str = "io.kubake.stage";
/// The [`STAGE`] of an image that boots a cluster.
pub const BAKED: &str = "baked";
/// On images: a hash of everything the image was made from, so that a repeat can be skipped.
pub const INPUTS: &str = "io.kubake.inputs";
/// On custom images: the id of the baked image that they were made from.
pub const FROM: &str = "io.kubake.from";
/// On images with a frozen store: a hash of the components they were made with.
pub const COMPONENTS: &str = "io.kubake.components";
/// On baked images: the names of the add-ons in it, separated by commas; absent where there are none.
pub const ADDONS: &str = "io.kubake.addons";
/// On baked images: the [`crate::ClusterSettings`] as JSON, for `kubake up` to compare with what it is asked for.
pub const SETTINGS: &str = "io.kubake.settings";
