//! What `follow` learns, one thing at a time.

use super::known::Change;
use super::objects::{EndpointSlice, Lease, Node, Pod, Workload};
use super::question::Question;
use super::workload_kind::WorkloadKind;

/// One answer or change of an object.
pub(super) enum News {
    Api(Result<(), String>),
    Lease(Change<Lease>),
    Node(Change<Node>),
    Pod(Change<Pod>),
    Workload(WorkloadKind, Change<Workload>),
    Slice(Change<EndpointSlice>),
    /// What could not be listed and why; without a reason, it can be listed again.
    Unreadable(&'static str, Option<String>),
    Answer(Question, Result<(), String>),
}
