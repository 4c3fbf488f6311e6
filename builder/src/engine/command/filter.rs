//! Filters of lists.

/// Which objects a list holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Those that have a label.
    Label(String),
    /// Those that have a label with a value.
    LabelIs(String, String),
    /// Containers and volumes whose name holds this text.
    Name(String),
    /// Images whose name matches this pattern, such as `kubake/*`.
    Reference(String),
}

impl std::fmt::Display for Filter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(key) => write!(formatter, "label={key}"),
            Self::LabelIs(key, value) => write!(formatter, "label={key}={value}"),
            Self::Name(name) => write!(formatter, "name={name}"),
            Self::Reference(pattern) => write!(formatter, "reference={pattern}"),
        }
    }
}
