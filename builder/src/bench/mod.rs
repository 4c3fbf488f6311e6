//! Measures what a boot costs, so that images can be compared. [`run`] measures one container, [`statistics`] does the
//! arithmetic, [`report`] and [`timeline`] render. Changes nothing on the machine: it removes every container, also after a
//! failure.

mod error;
mod interleaved;
mod parallel;
pub mod report;
pub mod run;
pub mod statistics;
mod subjects;
pub mod timeline;

pub use error::Error;
pub use interleaved::{Options, bench};
