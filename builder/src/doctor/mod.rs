//! `kubake doctor`: reports what this host offers and what would not work on it. [`facts`] gathers, [`judge`] judges,
//! [`report`] renders. Never changes the host.

mod facts;
mod judge;
mod report;

pub use facts::{EngineState, Facts, Host};
pub use judge::{Finding, Verdict};
pub use report::{Report, mark};
