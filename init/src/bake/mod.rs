//! A bake, run as PID 1 of a build container: `images` fills and freezes the image store, `cluster` brings Kubernetes up
//! with kubeadm on it and freezes that, and `custom` extends a baked cluster. Each leaves a file system that can be
//! committed, or an error and a container that `kubake` removes.

mod bake_run;
mod end;
mod flatten;
mod freeze;
mod images;
mod inbox;
mod jobs;
mod kubeadm_run;
mod manifests;
mod plans;
mod policies;
mod pulls;
mod settle;
mod trust;

pub(crate) use bake_run::Bake;
pub(crate) use plans::{CLUSTER, CUSTOM, IMAGES};
