//! The life of a cluster over its nodes: up and down. Written against [`crate::host::Host`], so that it knows no command of
//! an engine but the specification of a container.

mod create;
mod differences;
mod down;
mod error;
#[cfg(test)]
mod fixtures;
mod image;
mod next_commands;
mod options;
mod ports;
mod reachable;
mod report;
mod up;

pub(crate) use down::down;
pub(crate) use error::Error;
pub(crate) use next_commands::next_commands;
pub(crate) use options::Options;
pub(crate) use up::up;
