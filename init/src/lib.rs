//! Library of `kubake-init`, PID 1 of a kubake container, and the contract it shares with `kubake`.
//!
//! Read in this order: [`contract`] (what both sides agree on), [`pid1`] and [`supervise`] (the two stages of the
//! process), [`boot`] and [`bake`] (what is done, as lists of phases), then the rooms they call.

pub mod api;
pub mod authorities;
pub mod bake;
pub mod boot;
mod cni;
pub mod command;
mod cri;
pub mod dns_forwarder;
pub mod docker_proxy;
pub mod files;
pub mod healthcheck;
pub mod hooks;
pub mod host;
pub mod http;
pub mod identity;
pub mod invocation;
mod kubeadm;
pub mod net;
pub mod order;
pub mod phases;
pub mod pid1;
mod pods;
pub mod readiness;
pub mod registries;
pub mod services;
pub mod stage;
pub mod status;
pub mod store;
pub mod supervise;
pub mod supervisor;
pub mod usage;
pub mod volumes;
pub mod wishes;

pub use kubake_contract as contract;
pub use kubake_contract::{pem, proxies, token};
