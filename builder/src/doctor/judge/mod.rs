//! Owns judging: from [`Facts`] to findings, without a look at the host. It knows what a cluster needs and what to do
//! about what is missing; it never gathers and never prints.

mod engine;
mod facts;
mod finding;
mod host;
mod machine;
#[cfg(test)]
mod tests;

pub(super) use facts::{judge, worst};
pub use finding::{Finding, Verdict};
