//! [`Printer`] and [`Phase`]: every line to stderr and all data to stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use kubake_contract::error_chain::chain;
use serde::Serialize;

use super::seconds::seconds;
use super::style::{BOLD, CYAN, DIM, GREEN, RED, YELLOW};
use super::verbosity::Verbosity;

/// Without a terminal, a phase prints its current step at most this often.
const QUIET_INTERVAL: Duration = Duration::from_secs(20);
/// Without a terminal, a phase prints at least this often that it goes on. CI systems end jobs that print nothing for ten
/// minutes, and a compilation can take longer.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Writes to the terminal; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    verbosity: Verbosity,
    json: bool,
    colour: bool,
    /// None where lines do not move: without a terminal, with `-q` or `-v`.
    bars: Option<MultiProgress>,
    /// The text that tests read instead of stderr.
    captured: Option<Mutex<String>>,
    longest_silence: Duration,
}

impl Printer {
    /// A printer for this process's streams.
    #[must_use]
    pub(crate) fn new(verbosity: Verbosity, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = terminal && !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let bars = (terminal && !dumb && verbosity == Verbosity::Normal)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self {
            inner: Arc::new(Inner { verbosity, json, colour, bars, captured: None, longest_silence: LONGEST_SILENCE }),
        }
    }

    /// A printer without a terminal whose lines a test can read with [`Printer::captured`].
    #[cfg(test)]
    pub(crate) fn capturing(verbosity: Verbosity) -> Self {
        Self::capturing_with(verbosity, LONGEST_SILENCE)
    }

    /// A [`Printer::capturing`] printer with another bound on silence.
    #[cfg(test)]
    pub(super) fn capturing_with(verbosity: Verbosity, longest_silence: Duration) -> Self {
        let captured = Some(Mutex::new(String::new()));
        Self { inner: Arc::new(Inner { verbosity, json: false, colour: false, bars: None, captured, longest_silence }) }
    }

    /// All lines that a [`Printer::capturing`] printer received.
    #[cfg(test)]
    pub(crate) fn captured(&self) -> String {
        self.inner.captured.as_ref().map(|text| lock(text).clone()).unwrap_or_default()
    }

    /// Whether the result goes to stdout as JSON.
    #[must_use]
    pub(crate) fn is_json(&self) -> bool {
        self.inner.json
    }

    /// Whether commands and their output are to be shown.
    #[must_use]
    pub(crate) fn is_verbose(&self) -> bool {
        self.inner.verbosity == Verbosity::Verbose
    }

    /// A line of progress or result for people (stderr; hidden by `-q`).
    pub(crate) fn line(&self, text: impl Display) {
        if self.inner.verbosity > Verbosity::Quiet {
            self.write(&text.to_string());
        }
    }

    /// A line that only `-v` shows: a command, a log line.
    pub(crate) fn detail(&self, text: impl Display) {
        if self.is_verbose() {
            self.write(&self.paint(DIM, &text.to_string()));
        }
    }

    /// A warning: the command goes on.
    pub(crate) fn warn(&self, text: impl Display) {
        self.write(&format!("{} {text}", self.paint(YELLOW, "warning:")));
    }

    /// The action to take about the line before it.
    pub(crate) fn hint(&self, text: impl Display) {
        self.write(&format!("{} {text}", self.paint(CYAN, "hint:")));
    }

    /// The error that ends the command, with its causes in one line.
    pub(crate) fn error(&self, error: &(dyn std::error::Error + 'static)) {
        self.write(&format!("{} {}", self.paint(RED, "error:"), chain(error)));
    }

    /// The commands to type next, after a success.
    pub(crate) fn next(&self, commands: &[String]) {
        if self.inner.verbosity == Verbosity::Quiet || self.inner.json {
            return;
        }
        self.write("\nnext:");
        for command in commands {
            self.write(&format!("  {}", self.paint(BOLD, command)));
        }
    }

    /// Writes data to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written; a closed pipe (`kubake … | head`) is no error.
    pub(crate) fn data(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
        match written.and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// Writes a JSON document to stdout.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub(crate) fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.data(&serde_json::to_string_pretty(value).map_err(io::Error::other)?)
    }

    /// Starts to show a piece of work that takes long.
    #[must_use = "the phase counts as failed when it is dropped without `done`"]
    pub(crate) fn phase(&self, name: impl Into<String>) -> Phase {
        let name = name.into();
        let bar = self.inner.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} {prefix} {elapsed} {wide_msg:.dim}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.clone());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        if bar.is_none() {
            self.line(format_args!("• {name}"));
        }
        let now = Instant::now();
        let reported = Arc::new(Mutex::new(Reported { at: now, text: String::new(), current: String::new() }));
        let heartbeat = bar.is_none().then(|| Heartbeat::start(self.clone(), now, Arc::clone(&reported)));
        Phase { printer: self.clone(), name, bar, started: now, reported, over: false, heartbeat }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.inner.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Returns no result: a lost progress line must not end the work.
    pub(super) fn write(&self, text: &str) {
        if let Some(captured) = &self.inner.captured {
            let mut captured = lock(captured);
            captured.push_str(text);
            captured.push('\n');
        } else if let Some(bars) = &self.inner.bars {
            bars.suspend(|| drop(writeln!(io::stderr().lock(), "{text}")));
        } else {
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }
}

/// A piece of work while it runs. It ends with [`Phase::done`]; dropped without, it counts as failed.
#[derive(Debug)]
pub(crate) struct Phase {
    printer: Printer,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    reported: Arc<Mutex<Reported>>,
    over: bool,
    heartbeat: Option<Heartbeat>,
}

#[derive(Debug)]
struct Reported {
    at: Instant,
    text: String,
    /// The step that runs now, printed or not.
    current: String,
}

/// Prints the current step of a phase when nothing was printed for a while. Ends when it is dropped.
#[derive(Debug)]
struct Heartbeat {
    /// The thread ends when this is dropped.
    end: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Heartbeat {
    fn start(printer: Printer, started: Instant, reported: Arc<Mutex<Reported>>) -> Self {
        let (end, ended) = mpsc::channel();
        let interval = printer.inner.longest_silence;
        let thread = thread::spawn(move || {
            let mut wait = interval;
            while matches!(ended.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                let mut reported = lock(&reported);
                wait = interval.saturating_sub(reported.at.elapsed());
                if wait.is_zero() {
                    let text = if reported.current.is_empty() { "still running" } else { &reported.current };
                    printer.line(format_args!("  {text} ({})", seconds(started.elapsed())));
                    reported.at = Instant::now();
                    wait = interval;
                }
            }
        });
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // It fails only if the thread panicked, which must not end the work.
            drop(thread.join());
        }
    }
}

impl Phase {
    /// Shows the current step. On a terminal it replaces the message before it; elsewhere it is a line now and then.
    pub(crate) fn message(&self, text: impl Display) {
        let text = text.to_string();
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let mut reported = lock(&self.reported);
        reported.current.clone_from(&text);
        let verbose = self.printer.is_verbose();
        if reported.text != text && (verbose || reported.at.elapsed() >= QUIET_INTERVAL) {
            self.printer.line(format_args!("  {text} ({})", seconds(self.started.elapsed())));
            *reported = Reported { at: Instant::now(), current: text.clone(), text };
        }
    }

    /// Prints a line for a finished part of the work.
    pub(crate) fn step(&self, name: impl Display, elapsed: Duration) {
        self.printer.line(format_args!("  {} {name} {}", self.printer.paint(GREEN, "✓"), seconds(elapsed)));
    }

    /// A warning: the work goes on.
    pub(crate) fn warn(&self, text: impl Display) {
        self.printer.warn(text);
    }

    /// A line of the work's output, shown with `-v`.
    pub(crate) fn detail(&self, text: impl Display) {
        self.printer.detail(format_args!("  {text}"));
    }

    /// Ends the work as done.
    pub(crate) fn done(self) {
        self.done_with("");
    }

    /// Ends the work as done and prints `detail` after the time it took.
    pub(crate) fn done_with(mut self, detail: impl Display) {
        let detail = detail.to_string();
        let separator = if detail.is_empty() { "" } else { "  " };
        let mark = self.printer.paint(GREEN, "✓");
        self.end(&mark, &format!("{separator}{}", self.printer.paint(DIM, &detail)));
    }

    fn end(&mut self, mark: &str, detail: &str) {
        self.over = true;
        drop(self.heartbeat.take());
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let detail = if detail.trim().is_empty() { "" } else { detail };
        self.printer.line(format_args!("{mark} {} {}{detail}", self.name, seconds(self.started.elapsed())));
    }
}

impl Drop for Phase {
    fn drop(&mut self) {
        if !self.over {
            let mark = self.printer.paint(RED, "✗");
            self.end(&mark, "");
        }
    }
}

/// Ignores poisoning: it means that another thread panicked while it printed, and the text is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
