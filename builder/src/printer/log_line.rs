//! The writer of log lines for `tracing`.

use std::io::{self, Write};

use super::output::Printer;

/// Log lines pass through the printer so that a moving bar does not tear them.
impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Printer {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { printer: self.clone(), bytes: Vec::new() }
    }
}

/// A log line that is being written; printed when it is dropped, complete.
#[derive(Debug)]
pub(crate) struct LogLine {
    printer: Printer,
    bytes: Vec<u8>,
}

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        self.printer.write(String::from_utf8_lossy(&self.bytes).trim());
    }
}
