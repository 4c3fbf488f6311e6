//! Supervision: starts daemons, knows when they serve (`sd_notify`), starts them again with back-off when they die,
//! stops them in order. Says nothing about which daemons there are (see `services`) and never reaps what it did not
//! start: that is the stub's part (`pid1`).

mod backoff;
mod notify;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::status::{Board, ComponentState};
use backoff::Backoff;
use kubake_contract::env;
use kubake_contract::proxies;
use notify::NotifySocket;

/// Unexpected ends before the first readiness after which a daemon is given up.
const FATAL_FAILURES: u32 = 5;
/// A log that is larger than this when its daemon starts is set aside as `NAME.log.1`.
const LOG_ROTATE_BYTES: u64 = 32 << 20;

/// A daemon, as data.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    /// Name in `/status` and of the log file.
    pub name: &'static str,
    /// The program, by absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// Its environment beyond the inherited one.
    pub env: Vec<(OsString, OsString)>,
    /// How long after SIGTERM it is killed.
    pub stop_timeout: Duration,
    /// Niceness, 0 to 19: daemons that nobody waits for leave the processor to the others.
    pub nice: i32,
}

/// What can go wrong with a daemon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServiceError {
    /// It could not be started at all.
    #[error("cannot start {name} ({program})")]
    Spawn {
        /// The daemon.
        name: &'static str,
        /// Its program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// Its log file could not be opened.
    #[error("cannot open the log {path}")]
    Log {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The socket on which it says that it serves could not be made.
    #[error("cannot make the notify socket {path}")]
    Notify {
        /// The socket.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ended too often before it ever served.
    #[error("{name} does not start: {last_exit}; the end of its log:\n{tail}")]
    GaveUp {
        /// The daemon.
        name: &'static str,
        /// Its last end.
        last_exit: String,
        /// The end of its log.
        tail: String,
    },
    /// It runs but never said that it serves.
    #[error("{name} did not become ready within {} s; the end of its log:\n{tail}", timeout.as_secs())]
    NotReady {
        /// The daemon.
        name: &'static str,
        /// How long was waited.
        timeout: Duration,
        /// The end of its log.
        tail: String,
    },
}

/// How a supervised daemon stands, for those who wait for it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Standing {
    Starting,
    Serving,
    GaveUp(String),
    Stopped,
}

/// Starts and watches daemons.
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    board: Board,
    logs: PathBuf,
    run: PathBuf,
    tasks: TaskTracker,
}

/// A running daemon.
#[derive(Debug)]
pub(crate) struct Handle {
    name: &'static str,
    log: PathBuf,
    standing: watch::Receiver<Standing>,
    stop: CancellationToken,
    stopped: CancellationToken,
}

impl Supervisor {
    /// Log files go to `logs`, notify sockets to `run`; both exist.
    #[must_use]
    pub(crate) fn new(board: Board, logs: PathBuf, run: PathBuf) -> Self {
        Self { board, logs, run, tasks: TaskTracker::new() }
    }

    /// Starts a daemon and keeps it running until the handle stops it.
    ///
    /// # Errors
    /// When its log or notify socket cannot be made, or its program cannot be started the first time.
    pub(crate) fn start(&self, service: Service) -> Result<Handle, ServiceError> {
        let log = self.logs.join(format!("{}.log", service.name));
        rotate(&log);
        let (sender, standing) = watch::channel(Standing::Starting);
        let stop = CancellationToken::new();
        let stopped = CancellationToken::new();
        let notify = NotifySocket::bind(&self.run.join(format!("{}.notify", service.name)))?;
        let child = spawn(&service, &log, notify.path())?;
        self.board.update_component(service.name, |component| component.state = ComponentState::Starting);
        let handle =
            Handle { name: service.name, log: log.clone(), standing, stop: stop.clone(), stopped: stopped.clone() };
        let board = self.board.clone();
        self.tasks.spawn(async move {
            let finished = stopped.drop_guard();
            keep_running(&service, child, &log, &notify, &board, &sender, &stop).await;
            drop(finished);
        });
        Ok(handle)
    }
}

impl Handle {
    /// Waits until the daemon says that it serves.
    ///
    /// # Errors
    /// When it was given up, or did not say so within `timeout`.
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), ServiceError> {
        let mut standing = self.standing.clone();
        let waited = tokio::time::timeout(timeout, standing.wait_for(|now| *now != Standing::Starting)).await;
        match waited {
            Ok(Ok(now)) => match &*now {
                Standing::GaveUp(last_exit) => Err(ServiceError::GaveUp {
                    name: self.name,
                    last_exit: last_exit.clone(),
                    tail: tail(&self.log, 20),
                }),
                _ => Ok(()),
            },
            Ok(Err(_)) | Err(_) => Err(ServiceError::NotReady { name: self.name, timeout, tail: tail(&self.log, 20) }),
        }
    }

    /// Ends only when the daemon was given up before it ever served.
    pub(crate) async fn given_up(&self) -> ServiceError {
        let mut standing = self.standing.clone();
        let last_exit = match standing.wait_for(|now| matches!(now, Standing::GaveUp(_))).await {
            Ok(now) => match &*now {
                Standing::GaveUp(last_exit) => last_exit.clone(),
                _ => String::new(),
            },
            Err(_) => std::future::pending().await,
        };
        ServiceError::GaveUp { name: self.name, last_exit, tail: tail(&self.log, 20) }
    }

    /// Stops it: SIGTERM, then SIGKILL after its stop timeout. Returns when it is gone.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }
}

async fn keep_running(
    service: &Service,
    first: Child,
    log: &Path,
    notify: &NotifySocket,
    board: &Board,
    standing: &watch::Sender<Standing>,
    stop: &CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
    let mut failures_before_ready = 0;
    let mut has_served = false;
    let mut next = Some(first);
    loop {
        let started = Instant::now();
        let end = match next.take() {
            Some(mut child) => {
                let served = |_: ()| {
                    board.update_component(service.name, |component| component.state = ComponentState::Running);
                    standing.send_replace(Standing::Serving);
                };
                match watch_child(service, &mut child, notify, stop, served, &mut has_served).await {
                    ChildEnd::Stopped => {
                        board.update_component(service.name, |component| component.state = ComponentState::Stopped);
                        standing.send_replace(Standing::Stopped);
                        return;
                    }
                    ChildEnd::Died(status) => describe(status),
                }
            }
            None => match spawn(service, log, notify.path()) {
                Ok(child) => {
                    board.update_component(service.name, |component| component.state = ComponentState::Starting);
                    next = Some(child);
                    continue;
                }
                Err(error) => kubake_contract::error_chain::chain(&error),
            },
        };
        if started.elapsed() > Duration::from_secs(60) {
            backoff.reset();
        }
        tracing::warn!("{} ended unexpectedly: {end}; the end of its log:\n{}", service.name, tail(log, 5));
        if !has_served {
            failures_before_ready += 1;
        }
        board.update_component(service.name, |component| {
            component.state = ComponentState::BackingOff;
            component.restarts += 1;
            component.last_exit = Some(end.clone());
        });
        if failures_before_ready >= FATAL_FAILURES {
            board.update_component(service.name, |component| component.state = ComponentState::Failed);
            standing.send_replace(Standing::GaveUp(end));
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next_delay()) => {}
            () = stop.cancelled() => {
                board.update_component(service.name, |component| component.state = ComponentState::Stopped);
                standing.send_replace(Standing::Stopped);
                return;
            }
        }
    }
}

enum ChildEnd {
    Stopped,
    Died(ExitStatus),
}

async fn watch_child(
    service: &Service,
    child: &mut Child,
    notify: &NotifySocket,
    stop: &CancellationToken,
    served: impl Fn(()),
    has_served: &mut bool,
) -> ChildEnd {
    let mut listening = true;
    loop {
        tokio::select! {
            status = child.wait() => return match status {
                Ok(status) => ChildEnd::Died(status),
                // Cannot happen while nobody else waits for our children; treat it as an end that nobody saw.
                Err(_) => ChildEnd::Died(ExitStatus::from_raw(0)),
            },
            ready = notify.ready(), if listening => {
                listening = false;
                if ready {
                    *has_served = true;
                    served(());
                }
            }
            () = stop.cancelled() => {
                terminate(service, child).await;
                return ChildEnd::Stopped;
            }
        }
    }
}

async fn terminate(service: &Service, child: &mut Child) {
    let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
    // ESRCH: it ended by itself a moment ago.
    let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    if tokio::time::timeout(service.stop_timeout, child.wait()).await.is_err() {
        tracing::warn!("{} ignored SIGTERM for {} s and was killed", service.name, service.stop_timeout.as_secs());
        let _ = child.kill().await;
    }
}

fn spawn(service: &Service, log: &Path, notify: &Path) -> Result<Child, ServiceError> {
    let opened = OpenOptions::new().create(true).append(true).open(log).and_then(|file| Ok((file.try_clone()?, file)));
    let (stdout, stderr) = opened.map_err(|source| ServiceError::Log { path: log.display().to_string(), source })?;
    // `nice` is a program of coreutils that replaces itself: no process more, and no unsafe code between fork and exec.
    let mut command = if service.nice == 0 {
        Command::new(&service.program)
    } else {
        let mut command = Command::new("/usr/bin/nice");
        command.arg("-n").arg(service.nice.to_string()).arg(&service.program);
        command
    };
    command
        .args(&service.args)
        .env("NOTIFY_SOCKET", notify)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        // A terminal's Ctrl-C must reach only the stub: the order of the stop is ours.
        .process_group(0);
    for name in env::SECRETS.into_iter().chain(proxies::VARIABLES) {
        command.env_remove(name);
    }
    // A pod that kubake itself runs in leaves these in our environment, and clients would talk to that cluster.
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        if name == "KUBERNETES_PORT" || name.starts_with("KUBERNETES_PORT_") || name.starts_with("KUBERNETES_SERVICE_")
        {
            command.env_remove(&key);
        }
    }
    // Last: who is to have one of these has it in its own.
    command.envs(service.env.iter().map(|(key, value)| (key, value)));
    command.spawn().map_err(|source| ServiceError::Spawn {
        name: service.name,
        program: service.program.display().to_string(),
        source,
    })
}

fn rotate(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_ROTATE_BYTES) {
        // Losing an old log is better than not starting.
        let _ = std::fs::rename(log, log.with_extension("log.1"));
    }
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match Signal::try_from(signal) {
            Ok(signal) => format!("killed by {signal}"),
            Err(_) => format!("killed by signal {signal}"),
        },
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The last `lines` lines of a log, or why there are none. Reads at most 64 KiB.
#[must_use]
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    const LIMIT: u64 = 64 << 10;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LIMIT)))?;
        let mut bytes = Vec::new();
        file.take(LIMIT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("  ({}: {error})", log.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Service {
        Service {
            name: "daemon",
            program: PathBuf::from("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            env: Vec::new(),
            stop_timeout: Duration::from_secs(5),
            nice: 0,
        }
    }

    fn supervisor(board: &Board) -> (Supervisor, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Supervisor::new(board.clone(), dir.path().to_owned(), dir.path().to_owned()), dir)
    }

    #[tokio::test]
    async fn a_daemon_that_says_ready_is_running_and_stops_when_told() {
        let board = Board::new();
        let (supervisor, dir) = supervisor(&board);
        let handle = supervisor.start(shell("exec sleep 60")).unwrap();
        // The test says what a daemon would say on the socket it was given.
        let daemon = std::os::unix::net::UnixDatagram::unbound().unwrap();
        daemon.send_to(b"STATUS=up\nREADY=1", dir.path().join("daemon.notify")).unwrap();
        handle.ready(Duration::from_secs(20)).await.unwrap();
        assert_eq!(board.snapshot().components[0].state, ComponentState::Running);
        handle.stop().await;
        assert_eq!(board.snapshot().components[0].state, ComponentState::Stopped);
    }

    #[tokio::test]
    async fn only_whom_they_are_meant_for_gets_proxies() {
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
        // Whatever this test itself was started with.
        let found: Vec<&str> =
            environment.lines().filter(|line| line.to_ascii_lowercase().contains("_proxy=")).collect();
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
    async fn a_program_that_does_not_exist_is_named() {
        let board = Board::new();
        let (supervisor, _dir) = supervisor(&board);
        let mut service = shell("");
        service.program = PathBuf::from("/nonexistent/daemon");
        let error = supervisor.start(service).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/daemon"), "{error}");
    }
}
