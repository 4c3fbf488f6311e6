//! A boot: the phases of a role run in order, then the node stays up until a signal stops it, then everything stops in
//! order. `role` says which phases a node of a role has; this room holds the work of each and never decides their order.

mod daemons;
mod error;
mod first_readiness;
mod hooks;
mod phase_work;
mod run;
mod shut_down;
mod shutdown_step;

pub(crate) use daemons::{api_client, start_kubelet};
pub(crate) use run::{Boot, BootPlan};
pub(crate) use shutdown_step::ShutdownStep;
