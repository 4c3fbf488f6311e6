//! Filters of lists.

/// Which objects a list holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Those that have a label with a value.
    LabelIs(String, String),
    /// Those that have a label with any value.
    HasLabel(String),
}

impl std::fmt::Display for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HasLabel(key) => write!(formatter, "label={key}"),
            Self::LabelIs(key, value) => write!(formatter, "label={key}={value}"),
        }
    }
}
