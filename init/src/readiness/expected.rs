//! What a node of a role must show before it is ready. Data that `role` fills in.

use std::time::SystemTime;

use tokio::time::Instant;

use super::inventory::Inventory;
use super::question::Question;
use crate::pods::control_plane::StaticPod;

/// The evidence that a role requires beside lease, node, pods and workloads.
#[derive(Debug)]
pub(crate) struct Expected {
    /// Daemons of the container without which there is no node.
    pub(crate) daemons: &'static [&'static str],
    /// Static pods that must run in any case.
    pub(crate) static_pods: &'static [StaticPod],
    /// Components that must answer.
    pub(crate) questions: &'static [Question],
}

/// The boot and the objects that count for readiness.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// When this boot began, on the monotonic clock and on the wall clock. Older facts prove nothing.
    pub boot: (Instant, SystemTime),
    /// The objects of the image; without an inventory, everything that runs must be ready.
    pub inventory: Option<Inventory>,
    /// What the node's role requires.
    pub expected: &'static Expected,
}
