//! The PID 1 stub as a real process. Without the test harness, because the harness is multi-threaded and the stub must
//! not be: `pid1 stub PROGRAM ARG...` is the stub, anything else runs the tests.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the stub's process ends with its code")]

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn main() {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if args.first().is_some_and(|first| first == "stub") {
        std::process::exit(kubake_init::pid1::run_with(Path::new(&args[1]), &args[2..]).unwrap());
    }
    let trials = vec![
        trial("exit_codes_survive_100_runs", exit_codes_survive_100_runs),
        trial("killed_supervisor_is_128_plus_signal", killed_supervisor_is_128_plus_signal),
        trial("signals_reach_the_supervisor_once", signals_reach_the_supervisor_once),
        trial("real_time_stop_signal_counts_as_term", real_time_stop_signal_counts_as_term),
        trial("signal_mask_is_restored", signal_mask_is_restored),
        trial("orphans_are_reaped", || orphans_are_reaped(stub)),
        trial("leftovers_that_ignore_term_are_killed", || leftovers_are_killed(stub)),
        trial("killed_stub_takes_the_supervisor_along", killed_stub_takes_the_supervisor_along),
        trial("missing_program_is_an_error", missing_program_is_an_error),
        needs_root("orphans_are_reaped_as_pid_1", || orphans_are_reaped(stub_as_pid_1)),
        needs_root("leftovers_are_killed_as_pid_1", || leftovers_are_killed(stub_as_pid_1)),
        needs_root("term_and_exit_code_as_pid_1", term_and_exit_code_as_pid_1),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn trial(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    Trial::test(name, move || {
        test();
        Ok::<(), Failed>(())
    })
}

/// Ignored unless asked for, like `#[ignore = "needs root"]`.
fn needs_root(name: &str, test: impl FnOnce() + Send + 'static) -> Trial {
    trial(name, test).with_ignored_flag(true)
}

/// The stub with a shell script as its supervisor. A shell cannot trap what its parent ignores, and a background job of
/// another shell, such as a CI's, ignores SIGINT.
fn stub(script: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["stub", "/usr/bin/env", "--default-signal", "/bin/sh", "-c", script]).stdout(Stdio::piped());
    command
}

/// The same as PID 1 of a new namespace.
fn stub_as_pid_1(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(std::env::current_exe().unwrap());
    command.args(["stub", "/bin/sh", "-c", script]).stdout(Stdio::piped());
    command
}

fn output(mut command: Command) -> String {
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    text
}

/// Starts it and returns after the first line it printed.
fn started(mut command: Command) -> (Child, BufReader<ChildStdout>, String) {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    lines.read_line(&mut line).unwrap();
    (child, lines, line.trim().to_owned())
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

fn exit_codes_survive_100_runs() {
    for run in 0..100 {
        // Each leaves an orphan that ends at about the same time, which is when a careless reaper mixes them up.
        let mut child = stub(&format!("(exit 9) & exit {run}")).spawn().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(run));
    }
}

fn killed_supervisor_is_128_plus_signal() {
    assert_eq!(stub("kill -9 $$").spawn().unwrap().wait().unwrap().code(), Some(137));
}

fn signals_reach_the_supervisor_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        let name = signal.as_str().trim_start_matches("SIG");
        let script = format!("trap 'echo got; kill $! 2>/dev/null; exit 42' {name}; echo up; sleep 30 & wait; wait");
        let (mut child, mut rest, line) = started(stub(&script));
        assert_eq!(line, "up");
        send(&child, signal);
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), child.wait().unwrap().code()), ("got\n", Some(42)), "{signal}");
    }
}

fn real_time_stop_signal_counts_as_term() {
    let (mut child, _rest, _) =
        started(stub("trap 'kill $! 2>/dev/null; exit 3' TERM; echo up; sleep 30 & wait; wait"));
    // SIGRTMIN+3 has no name in `nix`; 34 is glibc's SIGRTMIN.
    let status = Command::new("/bin/sh").args(["-c", &format!("kill -37 {}", child.id())]).status().unwrap();
    assert!(status.success());
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

fn signal_mask_is_restored() {
    let script = "grep SigBlk /proc/self/status";
    let mut direct = Command::new("/bin/sh");
    direct.args(["-c", script]).stdout(Stdio::piped());
    assert_eq!(output(stub(script)), output(direct));
}

fn orphans_are_reaped(make: fn(&str) -> Command) {
    // The orphan says its pid and ends when the pipe to its reader closes; the supervisor polls until it is gone,
    // which for a zombie would be never.
    let script = "orphan=$(sh -c 'sleep 0.05 >/dev/null & echo $!'); \
                  n=0; while [ -e /proc/$orphan ] && [ $n -lt 500 ]; do sleep 0.01; n=$((n+1)); done; \
                  if [ -e /proc/$orphan ]; then cat /proc/$orphan/status; else echo gone; fi";
    assert_eq!(output(make(script)), "gone\n");
}

fn leftovers_are_killed(make: fn(&str) -> Command) {
    // One left over ends on SIGTERM, one does not. Both hold the pipe: reading to its end proves that they are gone.
    let script = "(trap 'echo term; kill $! 2>/dev/null; exit' TERM; echo up; sleep 30 & wait) & \
                  (trap '' TERM; echo up; sleep 30; sleep 30) & sleep 0.3; exit 5";
    let begun = Instant::now();
    let (mut child, mut rest, _) = started(make(script));
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(5));
    assert_eq!(text, "up\nterm\n");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

fn killed_stub_takes_the_supervisor_along() {
    // The sleep does not hold the pipe: dash's child loses a signal that comes between its fork and its exec.
    let script = "trap 'echo term; kill $! 2>/dev/null; exit' TERM; echo up; sleep 30 >/dev/null & wait";
    let (mut child, mut rest, _) = started(stub(script));
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let mut text = String::new();
    rest.read_to_string(&mut text).unwrap();
    assert_eq!(text, "term\n");
}

fn missing_program_is_an_error() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["stub", "/nonexistent/program"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nonexistent/program"));
}

fn term_and_exit_code_as_pid_1() {
    // `unshare` does not forward: the script signals PID 1 itself, as an engine would from outside.
    let mut command = stub_as_pid_1("trap 'exit 42' TERM; kill -TERM 1; sleep 30 & wait");
    assert_eq!(command.spawn().unwrap().wait().unwrap().code(), Some(42));
}
