//! A place in the source that breaks a rule.

/// The rule, the file or directory (relative to the checkout), and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) path: String,
    pub(crate) problem: String,
}

impl Finding {
    pub(crate) fn new(path: &str, problem: impl Into<String>) -> Self {
        Self { rule: "", path: path.to_owned(), problem: problem.into() }
    }

    pub(crate) fn of_rule(self, rule: &'static str) -> Self {
        Self { rule, ..self }
    }
}
