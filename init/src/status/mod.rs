//! What is known about this boot: phases, components, readiness. One [`Board`] that all parts of the supervisor write to,
//! any number of readers; everything that `/status`, `/kubernetes-ready` and the log say is derived from it. Does no I/O.

mod board;

pub use board::Board;
pub use kubake_contract::status::{
    Component, ComponentState, Hook, Milestone, Outcome, Phase, Readiness, State, Status,
};
