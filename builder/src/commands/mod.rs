//! The subcommands: each resolves the settings, calls the room that does the work, and prints the result to stdout. Owns
//! the mapping of every failure to an exit code. Does no work itself.

mod bake;
mod bench;
mod completions;
mod dispatch;
mod doctor;
mod down;
mod engine;
mod error;
mod exit_code;
mod preparation;
mod settings;
mod up;

pub(crate) use dispatch::run;
pub(crate) use error::Error;
pub(crate) use exit_code::{ExitCode, report};
