//! The report of a measurement: tables for people and one JSON document for programs. Pure: summarizes and renders, measures
//! and prints nothing.

mod document;
mod measurements;
mod measures;
#[cfg(test)]
mod tests;
mod text;
mod units;

pub(crate) use document::{Machine, Parallel, Plan, Report};
pub(crate) use measurements::{Measurements, compare};
