//! What a boot costs, measured so that images can be compared: the plan, and the loop over runs and images. One
//! container's life is [`run`]'s, arithmetic is [`statistics`]', rendering [`report`]'s and [`timeline`]'s. Changes
//! nothing on the machine: every container it makes is gone when it ends, however it ends.

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
