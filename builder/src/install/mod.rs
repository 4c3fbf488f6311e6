//! Installs, starts and stops an engine where there is none, on Debian and Ubuntu. Changes the host only when the user
//! allowed it; never touches an engine that works.

pub(crate) mod apt;
mod dockerd;
mod ensure;
mod error;
mod plan;
mod processes;
mod simulation;

#[cfg(test)]
pub(crate) use ensure::for_tests;
pub(crate) use ensure::{ensure, start, stop_started_by_us};
pub(crate) use error::InstallError;
