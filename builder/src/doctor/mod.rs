//! Owns `kubake doctor`: what this host offers and what would not work here, in plain words. Facts are gathered in
//! [`facts`] and judged in [`judge`]; [`report`] renders. It never changes the host.

mod facts;
mod judge;
mod report;

pub use facts::{EngineState, Facts, Host};
pub use judge::{Finding, Verdict};
pub use report::{Report, mark};
