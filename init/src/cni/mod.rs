//! How pods are connected to the network: where CNI's configuration and plug-ins lie, the list of plug-ins ([`ptp`]), what others
//! chained to it ([`chain`]), and the interfaces that belong to pods ([`interfaces`]). Data only: `node_runtime` writes the file before containerd starts, so
//! the node's network is ready as soon as containerd serves, and nothing has to wait for a CNI daemon. Never changes an
//! address or a route: that is `net`.

pub(crate) mod chain;
pub(crate) mod interfaces;
pub(crate) mod paths;
pub(crate) mod ptp;
