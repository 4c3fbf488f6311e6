//! Names of interfaces that lead to pods.

/// The bridge to which CNI's `bridge` plug-in connects pods. Its addresses and routes lie in the pod subnet by right.
pub(crate) const BRIDGE: &str = "cni0";
