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
mod report;
mod up;

pub use down::down;
pub use error::Error;
pub use next_commands::next_commands;
pub use options::Options;
pub use up::up;
