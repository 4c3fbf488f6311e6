//! The log on standard error. A reader that stops reading (a blocked log driver, a paused terminal) must not stop this
//! process: a thread of its own writes, and lines that find no room are counted instead of waited for. Decides nothing about
//! what is logged.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use kubake_contract::env;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait.
const MOST_LINES: usize = 8192;
/// Most bytes in them.
const MOST_BYTES: usize = 4 << 20;
/// How long the end of the process waits for a reader of the last lines.
const PATIENCE: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// Answered when everything before it is written.
    Flush(SyncSender<()>),
}

/// What the writing thread and the writers share.
#[derive(Debug, Default)]
struct Counts {
    /// Bytes that wait.
    waiting: AtomicUsize,
    /// Lines that found no room.
    lost: AtomicU64,
}

/// The log of this process; clones share it.
#[derive(Debug, Clone)]
pub struct Log {
    /// None until the first line, because the stub must not start a thread before it has to.
    sender: Arc<OnceLock<Option<SyncSender<Message>>>>,
    counts: Arc<Counts>,
    sink: fn() -> Box<dyn Write + Send>,
}

impl Log {
    /// Logs events of this process to standard error, filtered by [`env::LOG`].
    #[must_use]
    pub fn to_stderr() -> Self {
        let log = Self::to(|| Box::new(io::stderr()));
        let filter = EnvFilter::try_from_env(env::LOG).unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(log.clone())
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .init();
        log
    }

    fn to(sink: fn() -> Box<dyn Write + Send>) -> Self {
        Self { sender: Arc::default(), counts: Arc::default(), sink }
    }

    /// Waits until all lines are written, for a short time: the reader may have stopped.
    pub fn flush(&self) {
        self.flush_within(PATIENCE);
    }

    fn flush_within(&self, patience: Duration) -> bool {
        let Some(Some(sender)) = self.sender.get() else { return true };
        let deadline = Instant::now() + patience;
        let (done, written) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            match sender.try_send(message) {
                Ok(()) => break,
                Err(TrySendError::Full(back)) if Instant::now() < deadline => message = back,
                Err(_) => return false,
            }
            thread::sleep(Duration::from_millis(5));
        }
        written.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok()
    }

    /// Returns at once: the line waits, or is counted as lost.
    fn line(&self, line: &[u8]) -> io::Result<()> {
        let Some(sender) = self.sender.get_or_init(|| self.start()) else {
            return (self.sink)().write_all(line);
        };
        let waiting = self.counts.waiting.fetch_add(line.len(), Ordering::Relaxed);
        if waiting >= MOST_BYTES || sender.try_send(Message::Line(line.to_vec())).is_err() {
            self.counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Starts the thread; none if the system has no thread to give.
    fn start(&self) -> Option<SyncSender<Message>> {
        let (sender, messages) = sync_channel(MOST_LINES);
        let (counts, sink) = (Arc::clone(&self.counts), self.sink);
        let started = thread::Builder::new().name("log".to_owned()).spawn(move || write(&messages, &counts, sink()));
        started.ok().map(|_| sender)
    }
}

/// Writes until all senders are gone. A closed reader is no failure: the process goes on without its log.
fn write(messages: &Receiver<Message>, counts: &Counts, mut sink: Box<dyn Write + Send>) {
    for message in messages {
        match message {
            Message::Line(line) => {
                let lost = counts.lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    let _ = writeln!(sink, " WARN {lost} lines of this log were lost, because nothing read them");
                }
                let _ = sink.write_all(&line);
                counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Message::Flush(done) => {
                let _ = sink.flush();
                let _ = done.try_send(());
            }
        }
    }
}

/// Takes an event's line, which arrives in one piece.
#[derive(Debug)]
pub struct Line<'a>(&'a Log);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static READ: Mutex<Vec<u8>> = Mutex::new(Vec::new());
    /// Held while nothing reads.
    static READER: Mutex<()> = Mutex::new(());

    struct Pipe;

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _reader = READER.lock().unwrap();
            READ.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_holds_up_nothing_and_lost_lines_are_counted() {
        let log = Log::to(|| Box::new(Pipe));
        assert!(log.flush_within(Duration::ZERO), "nothing was logged");
        let stopped = READER.lock().unwrap();
        let begun = Instant::now();
        for number in 0..MOST_LINES + 1000 {
            writeln!(log.make_writer(), "line {number}").unwrap();
        }
        assert!(!log.flush_within(Duration::from_millis(50)));
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        drop(stopped);
        assert!(log.flush_within(Duration::from_secs(10)));
        log.line(b"the reason of a failure\n").unwrap();
        assert!(log.flush_within(Duration::from_secs(10)));
        let read = String::from_utf8(READ.lock().unwrap().clone()).unwrap();
        assert!(read.starts_with("line 0\nline 1\n") || read.contains("lines of this log were lost"), "{read:.200}");
        assert!(read.contains("lines of this log were lost, because nothing read them\n"));
        assert!(read.ends_with("the reason of a failure\n"), "the last line is there at the end");
        assert!(read.lines().count() <= MOST_LINES + 5);
    }
}
