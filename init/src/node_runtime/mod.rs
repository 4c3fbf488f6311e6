//! What boot and bake do alike on a node: host, network, identity, image store, containerd, dockerd. They share the code,
//! so that a bake proves the boot. Decides no order.

mod daemons;
mod docker_status;
mod host;
mod identity;
mod network;
mod runtime;

pub(crate) use daemons::SANDBOX_IMAGE;
pub(crate) use runtime::NodeRuntime;
