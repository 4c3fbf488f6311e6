//! Progress reports and cancellation for work that reads gigabytes.

use std::fmt;
use std::io::{self, Read};

/// How long work is watched: what it is at, and whether it is still wanted.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    /// Told what the work is at.
    pub say: &'a dyn Fn(&str),
    /// Whether the user wants to stop.
    pub is_over: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch<'_> {
    /// The reader, which fails as soon as the user wants to stop.
    pub(super) fn over<R: Read>(&self, reader: R) -> Watched<'_, R> {
        Watched { reader, watch: self }
    }

    pub(super) fn go_on(&self) -> io::Result<()> {
        // Not `Interrupted`, which readers take for a reason to try again.
        if (self.is_over)() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    #[cfg(test)]
    pub(super) fn idle() -> Self {
        Self { say: &|_| (), is_over: &|| false }
    }
}

pub(super) struct Watched<'a, R> {
    reader: R,
    watch: &'a Watch<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        self.reader.read(buffer)
    }
}
