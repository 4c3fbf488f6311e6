//! Findings and verdicts.

use serde::{Deserialize, Serialize};

/// Result of a check, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    /// The requirement is met.
    Ok,
    /// A cluster works with restrictions, or the fact is unknown.
    Warning,
    /// A cluster does not work.
    Problem,
}

/// One checked fact with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    pub(crate) verdict: Verdict,
    /// The fact as text.
    pub(crate) value: String,
    /// What the user can do; empty if nothing is necessary.
    pub(crate) advice: String,
}

pub(super) fn finding(
    name: &str,
    value: impl Into<String>,
    (verdict, advice): (Verdict, impl Into<String>),
) -> Finding {
    Finding { name: name.to_owned(), verdict, value: value.into(), advice: advice.into() }
}

pub(super) const FINE: (Verdict, &str) = (Verdict::Ok, "");
