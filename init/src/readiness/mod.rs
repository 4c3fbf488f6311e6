//! Collects the evidence that the cluster works in this boot and reports readiness on the board, for as long as it
//! runs: watches lease, node, pods, workloads and endpoints, and asks components. `evidence` decides what is missing,
//! `steady` when that is reported.

mod asking;
mod clock;
mod evidence;
mod expected;
mod follow;
mod inventory;
mod known;
mod lists;
mod news;
mod objects;
mod probes;
mod question;
mod retry;
mod rules;
mod running;
mod steady;
mod workload_kind;

pub(crate) use evidence::API_READY;
pub(crate) use expected::{Expected, Scope};
pub(crate) use follow::follow;
pub(crate) use inventory::Inventory;
pub(crate) use question::Question;
pub(crate) use running::take_inventory;
