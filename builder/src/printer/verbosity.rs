//! How much the user wants to see.

/// How much reaches the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// `-q`: warnings and errors only.
    Quiet,
    /// Phases and results.
    Normal,
    /// `-v`: also every command that is run, with its output; no moving bars.
    Verbose,
}
