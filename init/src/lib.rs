//! Library of `kubake-init`, PID 1 of a kubake container.
//!
//! Read in this order: [`kubake_contract`] (what this program and `kubake` agree on), [`pid1`] and [`supervise`] (the two
//! stages of the process), [`boot`] and [`bake`] (what is done, as lists of phases), then the rooms they call.

mod api;
mod authorities;
mod bake;
mod boot;
mod boot_options;
mod cni;
mod command;
mod cri;
mod dns_forwarder;
mod docker_proxy;
mod files;
pub mod healthcheck;
mod hooks;
mod host;
mod http;
mod identity;
pub mod invocation;
mod kubeadm;
mod kubeconfig;
mod launch;
mod net;
mod node_runtime;
mod phases;
pub mod pid1;
mod pods;
mod readiness;
mod registries;
mod services;
mod status;
mod store;
pub mod supervise;
mod supervisor;
mod usage;
mod volumes;
