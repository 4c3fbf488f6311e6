//! Lines of phases, what `-q` keeps, and durations.

use std::io;
use std::time::Duration;

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
fn a_phase_without_news_prints_its_current_step_now_and_then() {
    let printer = Printer::capturing_with(Verbosity::Normal, Duration::from_millis(1));
    let phase = printer.phase("components");
    phase.message("compile");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while printer.captured().matches("  compile (").count() < 2 {
        assert!(std::time::Instant::now() < deadline, "{}", printer.captured());
        std::thread::yield_now();
    }
    phase.done();
    let text = printer.captured();
    assert!(text.lines().last().is_some_and(|line| line.starts_with("✓ components")), "{text}");
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
