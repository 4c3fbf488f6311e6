//! `kubake doctor`: reports what this host offers and what would not work on it. [`facts`] gathers, [`judge`] judges,
//! [`report`] renders. Never changes the host.

mod facts;
mod judge;
mod obstacles;
mod report;

pub(crate) use judge::Verdict;
pub(crate) use obstacles::{Obstacles, obstacles};
pub(crate) use report::Report;
