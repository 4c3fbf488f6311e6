//! Steps that boots and bakes share: host, network, identity, image store, containerd, dockerd. A bake runs the same code, so
//! each bake proves the boot. Decides no order.

mod daemons;
mod docker_status;
mod host;
mod identity;
mod network;
mod runtime;

pub(crate) use daemons::SANDBOX_IMAGE;
pub(crate) use runtime::NodeRuntime;
