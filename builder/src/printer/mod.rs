//! Everything that reaches the terminal passes through [`Printer`]. Owns which stream a text is written to, whether it is
//! shown at all, colour, and the ticking line of long work. Never decides what a command does, and never fails a command
//! because a progress line could not be written.
//!
//! # Style of messages
//!
//! * Progress, warnings and errors go to stderr; stdout carries data only (`--json`, a kubeconfig, a completion script).
//! * Lowercase fragments without a full stop; what users type is in backticks.
//! * An error is one line `error: …` with its causes after colons, then, where the user can act, one line `hint: …`.
//! * Long work is a [`Phase`]: a ticking line on a terminal, `• name` and `✓ name 1.2s` elsewhere, so that a CI log
//!   shows what runs now and a job is never silent for minutes.
//! * Success ends with the next command to type ([`Printer::next`]).

mod log_line;
mod output;
mod seconds;
mod style;
#[cfg(test)]
mod tests;
mod verbosity;

pub(crate) use kubake_contract::error_chain::chain;
pub(crate) use output::{Phase, Printer};
pub(crate) use seconds::seconds;
pub(crate) use verbosity::Verbosity;
