//! Where containerd's CNI plug-in finds its parts.

/// Directory of the plug-ins.
pub(crate) const PLUGINS: &str = "/opt/cni/bin";
/// Directory of the configuration: on a tmpfs and written at each boot, because the configuration depends on the host.
pub(crate) const CONFIGURATION: &str = "/run/kubake/cni";
/// The configuration, in [`CONFIGURATION`].
pub(crate) const CONFLIST: &str = "/run/kubake/cni/10-kubake.conflist";
/// Reservations of pod addresses: on a tmpfs, because no pod's network survives a restart of the container.
pub(super) const ADDRESSES: &str = "/run/kubake/cni-addresses";
/// What libcni caches about pods; a baked image holds none of it.
pub(crate) const CACHE: &str = "/var/lib/cni";
