//! The daemons of the container as data, one file each: name, arguments, environment and the text of their configuration
//! files. Nothing here reads, writes, starts or waits.

pub(crate) mod containerd;
pub(crate) mod dockerd;
pub(crate) mod kubelet;
