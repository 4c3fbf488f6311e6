//! One node from outside: its HTTP port and the wait until it is ready. Knows a host only to notice that a node ends.

mod boot_phases;
mod error;
pub(crate) mod http;
mod listening;
mod wait;

pub(crate) use error::Error;
pub(crate) use error::log_text;
pub(crate) use listening::{Listening, parse_status};
pub(crate) use wait::{NodeRef, Show, wait_until_ready};
