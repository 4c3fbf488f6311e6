//! The pods that the cluster itself runs on: the one table of the control plane's static pods ([`control_plane`]), how pods
//! are stopped in order ([`stop`]), and whether a container of the control plane crashes again and again ([`crashes`]).
//! Never starts a pod: kubelet does, from kubeadm's manifests.

pub(crate) mod control_plane;
pub(crate) mod crashes;
pub(crate) mod stop;
