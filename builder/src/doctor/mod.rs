//! `kubake doctor`: reports what this host offers and what would not work on it. [`facts`] gathers, [`judge`] judges,
//! [`report`] renders. Never changes the host.

mod facts;
mod judge;
mod report;

pub(crate) use judge::Verdict;
pub(crate) use report::Report;
