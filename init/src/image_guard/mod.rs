//! dockerd's socket as all programs of the node see it: passes requests on byte for byte, and answers one itself. Docker's
//! prune of unused images knows only Docker's containers, and would remove what Kubernetes and its pods run on from the
//! store that both share. Owns the socket and its connections. Removes nothing by its own decision, and changes no other
//! request.

mod connection;
mod engine;
mod guard;
mod prune;
mod requests;

pub(crate) use guard::Guard;
