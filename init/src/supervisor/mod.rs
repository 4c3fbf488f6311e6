//! Supervision of daemons: starts them, learns by `sd_notify` when they serve, restarts them with increasing delays, stops
//! them. Knows nothing about particular daemons (see `services`), and reaps only its own children: `pid1` reaps orphans.

mod backoff;
mod error;
mod handle;
mod notify;
mod process;
mod service;
mod start;
mod state;
#[cfg(test)]
mod tests;

pub(crate) use error::ServiceError;
pub(crate) use handle::Handle;
pub(crate) use service::Service;
pub(crate) use start::Supervisor;
