//! The supervisor with real processes, which a shell plays.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kubake_contract::status::ComponentState;

use super::state::FATAL_FAILURES;
use super::{Service, Supervisor};
use crate::status::Board;

fn shell(script: &str) -> Service {
    Service {
        name: "daemon",
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        env: Vec::new(),
        stop_timeout: Duration::from_secs(5),
        is_given_up: true,
        nice: 0,
    }
}

fn supervisor(board: &Board) -> (Supervisor, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (Supervisor::new(board.clone(), dir.path().to_owned(), dir.path().to_owned()), dir)
}

#[tokio::test]
async fn a_daemon_that_reports_readiness_runs_until_it_is_stopped() {
    let board = Board::new();
    let (supervisor, dir) = supervisor(&board);
    let handle = supervisor.start(shell("exec sleep 60")).unwrap();
    // The test sends what a daemon sends to the socket.
    let daemon = std::os::unix::net::UnixDatagram::unbound().unwrap();
    daemon.send_to(b"STATUS=up\nREADY=1", dir.path().join("daemon.notify")).unwrap();
    handle.ready(Duration::from_secs(20)).await.unwrap();
    assert_eq!(board.snapshot().components[0].state, ComponentState::Running);
    handle.stop().await;
    assert_eq!(board.snapshot().components[0].state, ComponentState::Stopped);
}

#[tokio::test]
async fn only_a_services_own_proxies_reach_it() {
    let (supervisor, dir) = supervisor(&Board::new());
    let mut service = shell("env >&2; echo that was all >&2; exec sleep 60");
    service.env = vec![("HTTPS_PROXY".into(), "http://proxy:3128".into())];
    let handle = supervisor.start(service).unwrap();
    let log = dir.path().join("daemon.log");
    let deadline = Instant::now() + Duration::from_secs(20);
    let environment = loop {
        let text = std::fs::read_to_string(&log).unwrap();
        if text.contains("that was all") {
            break text;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    handle.stop().await;
    // The environment of this test may hold others.
    let found: Vec<&str> = environment.lines().filter(|line| line.to_ascii_lowercase().contains("_proxy=")).collect();
    assert_eq!(found, ["HTTPS_PROXY=http://proxy:3128"]);
}

#[tokio::test]
async fn a_daemon_that_never_serves_is_given_up_with_the_end_of_its_log() {
    let board = Board::new();
    let (supervisor, _dir) = supervisor(&board);
    let handle = supervisor.start(shell("echo port is taken >&2; exit 3")).unwrap();
    let error = handle.ready(Duration::from_secs(30)).await.unwrap_err().to_string();
    assert!(error.contains("exit code 3") && error.contains("port is taken"), "{error}");
    let component = board.snapshot().components[0].clone();
    assert_eq!((component.state, component.restarts), (ComponentState::Failed, FATAL_FAILURES));
}

#[tokio::test]
async fn a_daemon_that_ignores_sigterm_is_killed() {
    let board = Board::new();
    let (supervisor, _dir) = supervisor(&board);
    let mut service = shell("trap '' TERM; echo up; while :; do sleep 1; done");
    service.stop_timeout = Duration::from_millis(200);
    let handle = supervisor.start(service).unwrap();
    handle.stop().await;
    assert_eq!(board.snapshot().components[0].state, ComponentState::Stopped);
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let board = Board::new();
    let (supervisor, _dir) = supervisor(&board);
    let mut service = shell("");
    service.program = PathBuf::from("/nonexistent/daemon");
    let error = supervisor.start(service).unwrap_err().to_string();
    assert!(error.contains("/nonexistent/daemon"), "{error}");
}

#[tokio::test]
async fn a_daemon_that_is_not_given_up_waits_for_its_next_start() {
    let board = Board::new();
    let (supervisor, _dir) = supervisor(&board);
    let service = Service { is_given_up: false, ..shell("echo disk is full >&2; exit 4") };
    let handle = supervisor.start(service).unwrap();
    let error = handle.ready(Duration::from_secs(30)).await.unwrap_err().to_string();
    assert!(error.contains("exit code 4") && error.contains("disk is full"), "{error}");
    let component = board.snapshot().components[0].clone();
    assert_eq!((component.state, component.restarts), (ComponentState::BackingOff, FATAL_FAILURES));
    handle.stop().await;
    assert_eq!(board.snapshot().components[0].state, ComponentState::Stopped);
}
