//! Where containerd's CNI plug-in finds its parts.

/// Directory of the plug-ins.
pub(crate) const PLUGINS: &str = "/opt/cni/bin";
/// Directory of the configuration, where add-ons (meshes, Multus) look for it and put theirs; the first file counts.
pub(crate) const CONFIGURATION: &str = "/etc/cni/net.d";
/// The node's own configuration, in [`CONFIGURATION`]; written at each boot, because it depends on the host.
pub(crate) const CONFLIST: &str = "/etc/cni/net.d/10-kubake.conflist";
/// Reservations of pod addresses: on a tmpfs, because no pod's network survives a restart of the container.
pub(super) const ADDRESSES: &str = "/run/kubake/cni-addresses";
/// What libcni caches about pods; a baked image holds none of it.
pub(crate) const CACHE: &str = "/var/lib/cni";
