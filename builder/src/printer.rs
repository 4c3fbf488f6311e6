//! Everything that reaches the terminal goes through [`Printer`]. Owns the decision which stream a text goes to, whether
//! it is shown at all, colour, and the ticking line of long work. Never decides what a command does, and never fails
//! a command because a progress line could not be written.
//!
//! # Style of messages
//!
//! * Progress, warnings and errors go to stderr; stdout carries data only (`--json`, a kubeconfig, a completion script).
//! * Lowercase fragments without a full stop; what users typed or can type stands in backticks.
//! * An error is one line `error: …` with its causes after colons, then, where somebody can act, one line `hint: …`.
//! * Long work is a [`Phase`]: a ticking line on a terminal, `• name` and `✓ name 1.2s` elsewhere, so that a CI log
//!   shows what runs now and a job is never silent for minutes.
//! * Success ends with the next command to type ([`Printer::next`]).

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

/// Where there is no terminal, a phase that runs says at most this often what it is doing.
const QUIET_INTERVAL: Duration = Duration::from_secs(20);

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// `-q`: warnings and errors only.
    Quiet,
    /// Phases and results.
    Normal,
    /// `-v`: also every command that is run and what it says; no moving bars.
    Verbose,
}

/// The one way to the terminal; cheap to clone.
#[derive(Debug, Clone)]
pub struct Printer {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    verbosity: Verbosity,
    json: bool,
    colour: bool,
    /// None where lines do not move: no terminal, `-q` or `-v`.
    bars: Option<MultiProgress>,
    /// What tests read instead of stderr.
    captured: Option<Mutex<String>>,
}

impl Printer {
    /// A printer for this process's streams.
    #[must_use]
    pub fn new(verbosity: Verbosity, json: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let colour = terminal && !dumb && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let bars = (terminal && !dumb && verbosity == Verbosity::Normal)
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()));
        Self { inner: Arc::new(Inner { verbosity, json, colour, bars, captured: None }) }
    }

    /// A printer without a terminal whose lines a test can read with [`Printer::captured`].
    #[cfg(test)]
    pub fn capturing(verbosity: Verbosity) -> Self {
        let captured = Some(Mutex::new(String::new()));
        Self { inner: Arc::new(Inner { verbosity, json: false, colour: false, bars: None, captured }) }
    }

    /// What a [`Printer::capturing`] printer was given.
    #[cfg(test)]
    pub fn captured(&self) -> String {
        self.inner.captured.as_ref().map(|text| lock(text).clone()).unwrap_or_default()
    }

    /// Whether the caller asked for JSON on stdout.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.inner.json
    }

    /// Whether commands and their output are to be shown.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.inner.verbosity == Verbosity::Verbose
    }

    /// A line of progress or result for people (stderr; hidden by `-q`).
    pub fn line(&self, text: impl Display) {
        if self.inner.verbosity > Verbosity::Quiet {
            self.write(&text.to_string());
        }
    }

    /// A line that only `-v` shows: a command, a log line.
    pub fn detail(&self, text: impl Display) {
        if self.is_verbose() {
            self.write(&self.paint(DIM, &text.to_string()));
        }
    }

    /// Something that the user should know although the command goes on.
    pub fn warn(&self, text: impl Display) {
        self.write(&format!("{} {text}", self.paint(YELLOW, "warning:")));
    }

    /// What to do about the line before it.
    pub fn hint(&self, text: impl Display) {
        self.write(&format!("{} {text}", self.paint(CYAN, "hint:")));
    }

    /// The error that ends the command, with its causes in one line.
    pub fn error(&self, error: &dyn std::error::Error) {
        self.write(&format!("{} {}", self.paint(RED, "error:"), chain(error)));
    }

    /// The commands to type next, after a success.
    pub fn next(&self, commands: &[String]) {
        if self.inner.verbosity == Verbosity::Quiet || self.inner.json {
            return;
        }
        self.write("\nnext:");
        for command in commands {
            self.write(&format!("  {}", self.paint(BOLD, command)));
        }
    }

    /// Data on stdout.
    ///
    /// # Errors
    /// When stdout cannot be written; a closed pipe (`kubake … | head`) is no error.
    pub fn data(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout
            .write_all(text.as_bytes())
            .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stdout.write_all(b"\n") });
        match written.and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    /// One JSON document on stdout.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn json(&self, value: &impl Serialize) -> io::Result<()> {
        self.data(&serde_json::to_string_pretty(value).map_err(io::Error::other)?)
    }

    /// Begins a piece of work that takes long enough to be shown.
    #[must_use = "the phase counts as failed when it is dropped without `done`"]
    pub fn phase(&self, name: impl Into<String>) -> Phase {
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
        Phase {
            printer: self.clone(),
            name,
            bar,
            started: now,
            said: Mutex::new(Said { at: now, text: String::new() }),
            over: false,
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.inner.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A lost progress line must not end the work it tells of, hence no result.
    fn write(&self, text: &str) {
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

/// Log lines go the same way as everything else, so that a moving bar does not tear them.
impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Printer {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { printer: self.clone(), bytes: Vec::new() }
    }
}

/// One log line on its way; printed when it is complete.
#[derive(Debug)]
pub struct LogLine {
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

/// A piece of work that runs; ends with [`Phase::done`], or as failed when dropped.
#[derive(Debug)]
pub struct Phase {
    printer: Printer,
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    said: Mutex<Said>,
    over: bool,
}

#[derive(Debug)]
struct Said {
    at: Instant,
    text: String,
}

impl Phase {
    /// What the work is at now. Replaces the message before it; elsewhere than on a terminal it is a line now and then.
    pub fn message(&self, text: impl Display) {
        let text = text.to_string();
        if let Some(bar) = &self.bar {
            bar.set_message(text);
            return;
        }
        let mut said = lock(&self.said);
        let verbose = self.printer.is_verbose();
        if said.text != text && (verbose || said.at.elapsed() >= QUIET_INTERVAL) {
            self.printer.line(format_args!("  {text} ({})", seconds(self.started.elapsed())));
            *said = Said { at: Instant::now(), text };
        }
    }

    /// A part of the work that is finished and worth a line of its own.
    pub fn step(&self, name: impl Display, elapsed: Duration) {
        self.printer.line(format_args!("  {} {name} {}", self.printer.paint(GREEN, "✓"), seconds(elapsed)));
    }

    /// Something that the user should know although the work goes on.
    pub fn warn(&self, text: impl Display) {
        self.printer.warn(text);
    }

    /// A line of what the work says, shown with `-v`.
    pub fn detail(&self, text: impl Display) {
        self.printer.detail(format_args!("  {text}"));
    }

    /// The work is done.
    pub fn done(self) {
        self.done_with("");
    }

    /// The work is done; `detail` stands behind the time it took.
    pub fn done_with(mut self, detail: impl Display) {
        let detail = detail.to_string();
        let separator = if detail.is_empty() { "" } else { "  " };
        let mark = self.printer.paint(GREEN, "✓");
        self.end(&mark, &format!("{separator}{}", self.printer.paint(DIM, &detail)));
    }

    fn end(&mut self, mark: &str, detail: &str) {
        self.over = true;
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

const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";
const BOLD: &str = "1";
const DIM: &str = "2";

/// A poisoned lock only means that another thread panicked while it printed; the text is still good.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A duration as people read it: `0.3s`, `42s`, `3m07s`.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole >= 60 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else if whole >= 10 {
        format!("{whole}s")
    } else {
        format!("{:.1}s", duration.as_secs_f64())
    }
}

/// An error and its causes in one line; a cause that the message before it already quotes is left out.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_end_in_a_line_and_an_unfinished_one_counts_as_failed() {
        let printer = Printer::capturing(Verbosity::Normal);
        let phase = printer.phase("components");
        phase.message("too early to be worth a line without a terminal");
        phase.done_with("from cache");
        drop(printer.phase("save"));
        assert_eq!(printer.captured(), "• components\n✓ components 0.0s  from cache\n• save\n✗ save 0.0s\n");
    }

    #[test]
    fn quiet_keeps_warnings_and_errors() {
        let printer = Printer::capturing(Verbosity::Quiet);
        printer.line("a line");
        printer.detail("a detail");
        printer.phase("work").done();
        printer.next(&["kubectl get nodes".to_owned()]);
        printer.warn("careful");
        printer.error(&io::Error::other("broken"));
        printer.hint("mend it");
        assert_eq!(printer.captured(), "warning: careful\nerror: broken\nhint: mend it\n");
    }

    #[test]
    fn durations_are_short() {
        for (millis, text) in [(340, "0.3s"), (9_940, "9.9s"), (12_000, "12s"), (187_000, "3m07s")] {
            assert_eq!(seconds(Duration::from_millis(millis)), text);
        }
    }
}
