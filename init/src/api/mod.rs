//! A client for the Kubernetes API, as small as our own readiness and the bake allow: get, watch, create, patch,
//! apply. Owns its connections and the time limits on them. It knows no kinds of objects, caches nothing, retries only
//! what a stale connection spoiled, and never speaks to anything but the one API server of its kubeconfig.

mod client;
mod connection;
mod error;
mod watch;

pub(crate) use client::Client;
pub(crate) use watch::WatchKind;
