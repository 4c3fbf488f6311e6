//! A client for the Kubernetes API with the calls that readiness and the bake need: get, watch, create, patch, apply.
//! Owns its connections and the time limits on them. It knows no kinds of objects, caches nothing, retries only after a
//! stale connection, and connects only to the API server of its kubeconfig.

mod client;
mod connection;
mod error;
mod watch;

pub(crate) use client::Client;
pub(crate) use error::ApiError;
pub(crate) use watch::WatchKind;
