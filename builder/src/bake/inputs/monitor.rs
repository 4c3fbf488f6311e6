//! Progress reports and cancellation for work that reads gigabytes.

use std::fmt;
use std::io::{self, Read};

/// How long work is watched: what it is at, and whether it is still wanted.
#[derive(Clone, Copy)]
pub(crate) struct Monitor<'a> {
    /// Told what the work is at.
    pub report: &'a dyn Fn(&str),
    /// Whether the user wants to stop.
    pub is_cancelled: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Monitor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor<'_> {
    /// The reader, which fails as soon as the user wants to stop.
    pub(super) fn reader<R: Read>(&self, reader: R) -> MonitoredReader<'_, R> {
        MonitoredReader { reader, monitor: self }
    }

    pub(super) fn check_cancelled(&self) -> io::Result<()> {
        // Not `Interrupted`, which readers take for a reason to try again.
        if (self.is_cancelled)() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    #[cfg(test)]
    pub(super) fn idle() -> Self {
        Self { report: &|_| (), is_cancelled: &|| false }
    }
}

pub(super) struct MonitoredReader<'a, R> {
    reader: R,
    monitor: &'a Monitor<'a>,
}

impl<R: Read> Read for MonitoredReader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.monitor.check_cancelled()?;
        self.reader.read(buffer)
    }
}
