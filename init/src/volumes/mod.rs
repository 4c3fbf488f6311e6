//! Volumes of the default StorageClass: the controller that makes and removes them, as PersistentVolumes of type `local`
//! in a directory of containerd's volume, which is a real file system. Also owns where that directory and the data of
//! emptyDirs lie, and how the content of claims gets from a bake into a boot. Never decides which claim is bound to which
//! volume: that is Kubernetes' controller manager.

mod claim;
mod controller;
mod error;
mod freeze;
mod place;
mod volume;

pub(crate) use claim::PROVISIONER;
pub(crate) use controller::follow;
pub(crate) use freeze::freeze;
pub(crate) use place::attach;
