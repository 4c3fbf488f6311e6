//! Running programs on this host: a [`Runner`] that streams, bounds, times out and cancels a child process, and the
//! [`Cancel`] token that Ctrl-C sets. Never knows what a program is for, and never writes to stdout or stderr.

mod call;
mod cancel;
mod error;
mod output;
mod pipes;
mod progress;
mod runner;

pub(crate) use call::{Call, Input, quote};
pub(crate) use cancel::Cancel;
pub(crate) use error::RunError;
pub(crate) use output::{Ended, Line, Stream};
pub(crate) use runner::Runner;

#[cfg(test)]
mod tests;
