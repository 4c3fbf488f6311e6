//! Progress reports and cancellation for work that reads gigabytes.

use std::fmt;
use std::io::{self, Read};

/// Callbacks of long work.
#[derive(Clone, Copy)]
pub(crate) struct Monitor<'a> {
    /// Receives a progress message.
    pub(crate) report: &'a dyn Fn(&str),
    /// Whether the user has interrupted the work.
    pub(crate) is_cancelled: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Monitor<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Monitor").finish_non_exhaustive()
    }
}

impl Monitor<'_> {
    /// Wraps a reader, which then fails as soon as the user interrupts.
    pub(super) fn reader<R: Read>(&self, reader: R) -> MonitoredReader<'_, R> {
        MonitoredReader { reader, monitor: self }
    }

    pub(super) fn check_cancelled(&self) -> io::Result<()> {
        // Not `ErrorKind::Interrupted`, after which callers of `read` try again.
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
