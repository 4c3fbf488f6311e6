//! Real children: shells that write, wait, ignore signals and leave grandchildren.

use std::fs::File;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::progress::TAIL_LINES;
use super::{Call, Cancel, Ended, Input, RunError, Runner, Stream};
use crate::advice::Advice;

fn sh(script: &str) -> Call {
    Call::new("sh").args(["-c", script])
}

fn gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z"))
}

#[test]
fn stdout_is_captured_and_stderr_goes_into_the_error() {
    let runner = Runner::default();
    assert_eq!(runner.run_captured(sh("echo out; echo err >&2")).unwrap(), "out");
    let error = runner.run(sh("seq 1 100 >&2; exit 3")).unwrap_err();
    assert_eq!(error.code(), Some(3));
    assert_eq!(error.stderr().lines().count(), TAIL_LINES);
    assert!(error.to_string().starts_with("`sh -c 'seq 1 100 >&2; exit 3'` failed (exit status: 3):\n71\n"));
}

#[test]
fn json_and_what_is_none() {
    let runner = Runner::default();
    assert_eq!(runner.run_json::<Vec<u8>>(sh("echo '[1, 2]'")).unwrap(), [1, 2]);
    let error = runner.run_json::<Vec<u8>>(sh("echo nonsense")).unwrap_err();
    assert!(error.to_string().contains("it begins with `nonsense`"), "{error}");
}

#[test]
fn a_missing_program_is_its_own_error() {
    let error = Runner::default().run(Call::new("kubake-no-such-program")).unwrap_err();
    assert!(matches!(error, RunError::NotInstalled { .. }), "{error}");
}

#[test]
fn lines_of_both_streams_come_apart_and_break_stops() {
    let mut lines = Vec::new();
    let ended = Runner::default()
        .stream(sh("echo a; echo b >&2; printf c"), |line| {
            lines.push((line.stream, line.text.to_owned()));
            ControlFlow::Continue(())
        })
        .unwrap();
    lines.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(ended, Ended::Exited);
    assert_eq!(lines, [(Stream::Stdout, "a".into()), (Stream::Stderr, "b".into()), (Stream::Stdout, "c".to_owned())]);
    let begin = Instant::now();
    let ended = Runner::default().stream(sh("echo ready; exec sleep 60"), |_| ControlFlow::Break(())).unwrap();
    assert_eq!(ended, Ended::Stopped);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn input_from_bytes_and_files_and_readers() {
    let runner = Runner::default();
    let big = vec![b'x'; 1_000_000];
    let count = runner.run_captured(sh("wc -c").input(Input::Bytes(big.clone()))).unwrap();
    assert_eq!(count, "1000000");
    let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(big));
    // A child that reads nothing is no error.
    runner.run(Call::new("true").input(Input::Reader(reader))).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "text").unwrap();
    let input = Input::File(File::open(file.path()).unwrap());
    assert_eq!(runner.run_captured(Call::new("cat").input(input)).unwrap(), "text");
}

struct Broken(bool);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.0, true) {
            return Err(io::Error::other("disk on fire"));
        }
        buffer[0] = b'x';
        Ok(1)
    }
}

#[test]
fn half_an_input_is_an_error_although_the_child_ends_well() {
    let call = sh("cat >/dev/null; exit 0").input(Input::Reader(Box::new(Broken(false))));
    let error = Runner::default().run(call).unwrap_err();
    assert!(matches!(error, RunError::Input { .. }), "{error}");
}

#[test]
fn a_bound_ends_the_whole_group_even_if_it_ignores_sigterm() {
    let mut pids = Vec::new();
    let call = sh("trap '' TERM; sleep 60 & echo $! $$; wait; wait; sleep 60")
        .timeout(Duration::from_millis(300))
        .grace(Duration::from_millis(300));
    let error = Runner::default()
        .stream(call, |line| {
            pids.extend(line.text.split(' ').map(str::to_owned));
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(matches!(error, RunError::TimedOut { .. }), "{error}");
    assert_eq!(pids.len(), 2);
    let deadline = Instant::now() + Duration::from_secs(5);
    while !pids.iter().all(|pid| gone(pid)) {
        assert!(Instant::now() < deadline, "{pids:?} live");
        thread::yield_now();
    }
}

#[test]
fn cancelling_lets_the_child_clean_up_and_is_reported_as_such() {
    let cancel = Cancel::new();
    let runner = Runner::new(cancel.clone());
    let mut lines = Vec::new();
    let token = cancel.clone();
    let call = sh("trap 'echo cleaned > \"$OUT\"; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = runner
        .stream(call.env("OUT", file.path()), |line| {
            lines.push(line.text.to_owned());
            token.cancel();
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.is_interrupted(), "{error}");
    assert_eq!(lines, ["ready"]);
    assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "cleaned\n");
    // Nothing starts any more, but for cleaning up.
    assert!(runner.run(Call::new("true")).unwrap_err().is_interrupted());
    runner.for_cleanup().run(Call::new("true")).unwrap();
    assert!(!cancel.sleep(Duration::from_secs(60)));
}

#[test]
fn a_child_that_asks_on_the_terminal_is_ended_with_advice() {
    // What the kernel does to a background process group that reads from its terminal.
    let begin = Instant::now();
    for signal in ["TTIN", "TTOU"] {
        let error = Runner::default().run(sh(&format!("kill -{signal} 0; sleep 60"))).unwrap_err();
        assert!(error.to_string().contains("asks on the terminal"), "{error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    // Another stop is not a question.
    let script = "(sleep 0.3; kill -CONT $$) & kill -STOP $$; echo went on";
    assert_eq!(Runner::default().run_captured(sh(script)).unwrap(), "went on");
}

#[test]
fn cancelling_twice_kills_at_once() {
    let cancel = Cancel::new();
    let token = cancel.clone();
    let begin = Instant::now();
    let call = sh("trap '' TERM; echo ready; while :; do sleep 0.05; done").grace(Duration::from_secs(60));
    let error = Runner::new(cancel)
        .stream(call, |_| {
            token.cancel();
            let token = token.clone();
            thread::spawn(move || token.cancel());
            ControlFlow::Continue(())
        })
        .unwrap_err();
    assert!(error.is_interrupted(), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_grandchild_that_keeps_the_pipe_does_not_keep_us() {
    let begin = Instant::now();
    let output = Runner::default();
    output.run(sh("sleep 30 & exit 0")).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn command_lines_can_be_pasted_and_hold_no_secret() {
    let call = Call::new("docker")
        .args(["run", "-e", "PASSWORD", "a b", "it's", ""])
        .env("DOCKER_BUILDKIT", "1")
        .secret_env("PASSWORD", "hunter2");
    assert_eq!(call.pasteable(), r"DOCKER_BUILDKIT=1 docker run -e PASSWORD 'a b' 'it'\''s' ''");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let runner = Runner::default().on_command(move |line| log.lock().unwrap().push(line.to_owned()));
    runner.run(Call::new("true").arg("x")).unwrap();
    assert_eq!(*seen.lock().unwrap(), ["true x"]);
}
