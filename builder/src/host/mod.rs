//! Where nodes live: today containers of one engine. The life of a cluster is written against [`Host`] and not against
//! the engine's commands. A node is looked up by its name once and from then on known by its id, so that nothing is
//! ever done to another container that has the same name.

mod engine_host;
mod error;
mod hosted_node;

pub(crate) use engine_host::{Host, PendingNode};
pub(crate) use error::HostError;
pub(crate) use hosted_node::{HostedNode, NodeState};
