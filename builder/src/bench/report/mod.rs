//! What was measured, for people and for programs: tables and one JSON document. Pure: sums up and renders, measures
//! nothing, and prints nothing.

mod document;
mod measurements;
mod measures;
#[cfg(test)]
mod tests;
mod text;
mod units;

pub use document::{Machine, Parallel, Plan, Report};
pub use measurements::{Measurements, compare};
