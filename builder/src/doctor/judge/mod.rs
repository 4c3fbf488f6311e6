//! Judges facts: knows the requirements of a cluster and the advice for each that is not met. Pure: gathers and prints
//! nothing.

mod engine;
mod facts;
mod finding;
mod host;
mod machine;
#[cfg(test)]
mod tests;

pub(super) use facts::{judge, worst};
pub(super) use finding::Finding;
pub(crate) use finding::Verdict;
