//! Library of `kubake-init`, PID 1 of a kubake container.
//!
//! Read in this order: `kubake_contract` (what this program and `kubake` agree on), [`pid1`] and [`supervise`] (the two
//! processes), `role` (what a node of a role does, as lists of phases), `boot` and `bake` (the work of these phases), then
//! the rooms that they call. `init/README.md` has the map and the invariants.

mod admission;
mod api;
mod authorities;
mod bake;
mod boot;
mod boot_options;
mod cni;
mod command;
mod configuration;
mod cri;
mod dns_forwarder;
mod docker_proxy;
mod events;
mod files;
pub mod healthcheck;
mod hooks;
mod host;
mod http;
mod identity;
mod image_guard;
pub mod invocation;
mod kubeadm;
mod kubeconfig;
mod launch;
mod listen;
pub mod log;
mod net;
mod node_runtime;
mod own_hosts;
mod phases;
pub mod pid1;
mod pods;
mod readiness;
mod registries;
mod role;
mod services;
mod status;
mod store;
pub mod supervise;
mod supervisor;
mod usage;
mod user_namespaces;
mod variables;
mod volumes;
