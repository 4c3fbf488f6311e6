//! Measures what a boot costs, so that images can be compared. [`run`] measures one container, [`statistics`] does the
//! arithmetic, [`report`] and [`timeline`] render. Changes nothing on the machine: it removes every container, also after a
//! failure.

mod boot;
mod error;
mod interleaved;
mod measured;
mod parallel;
pub(crate) mod report;
mod run;
mod run_error;
pub(crate) mod statistics;
mod subjects;
pub(crate) mod timeline;

pub(crate) use error::Error;
pub(crate) use interleaved::{Options, bench};
pub(crate) use measured::Course;
