//! One thing that was looked at, and how bad it is.

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but not as well; or cannot be told.
    Warning,
    /// Does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub name: String,
    /// How bad.
    pub verdict: Verdict,
    /// What it is.
    pub value: String,
    /// What to do; empty where nothing needs to be done.
    pub advice: String,
}

pub(super) fn finding(
    name: &str,
    value: impl Into<String>,
    (verdict, advice): (Verdict, impl Into<String>),
) -> Finding {
    Finding { name: name.to_owned(), verdict, value: value.into(), advice: advice.into() }
}

pub(super) const FINE: (Verdict, &str) = (Verdict::Ok, "");
