//! Requests to containerd's CRI service: which containers run, stopping them, removing pods, running a program in a
//! container. The only room that names crictl. Never decides which containers stop or in which order: that is `pods`.

mod client;

pub(crate) use client::{
    Container, CriError, exec, find_running, needed_images, remove_pods, running_containers, stop_containers,
};
