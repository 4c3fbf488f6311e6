//! Kubeconfigs: reading the one that kubeadm writes, making from it the one that callers get, and the addresses of API
//! servers in them. Never does I/O, and knows neither the HTTP server nor the API client.

pub(crate) mod address;
mod document;
mod error;
mod render;
#[cfg(test)]
mod tests;

pub(crate) use document::{Cluster, Kubeconfig, User};
pub(crate) use error::KubeconfigError;
pub(crate) use render::{Format, Part, pem, render};
