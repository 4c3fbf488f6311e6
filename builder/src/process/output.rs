//! What a running program writes, line by line.

/// Which of a child's streams a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// One line of a child's output, without its line break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    /// Where it came from.
    pub(crate) stream: Stream,
    /// The text; bytes that are not UTF-8 are replaced.
    pub(crate) text: &'a str,
}

/// How a streamed call ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The program ended with status 0.
    Exited,
    /// The line callback said that it has seen enough, and the program was stopped.
    Stopped,
}
