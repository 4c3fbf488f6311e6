//! One run of a daemon as a process: its environment and log, how it is watched and how it is stopped. Decides nothing
//! about restarts.

use std::fs::OpenOptions;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::error::ServiceError;
use super::notify::NotifySocket;
use super::service::Service;
use crate::variables;

/// A log that is larger becomes `NAME.log.1`.
const LOG_ROTATE_BYTES: u64 = 32 << 20;
/// Time between looks at the size of a running daemon's log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Runs a daemon's process, one at a time.
#[derive(Debug)]
pub(super) struct Runner {
    service: Service,
    log: PathBuf,
    notify: NotifySocket,
}

/// How a run ended.
#[derive(Debug)]
pub(super) enum End {
    /// `stop` was cancelled and the process is gone.
    Stopped,
    /// The process ended without a request.
    Died(String),
}

impl Runner {
    /// Log files go to `logs`, notify sockets to `sockets`; both directories exist.
    pub(super) fn new(service: Service, logs: &Path, sockets: &Path) -> Result<Self, ServiceError> {
        let log = logs.join(format!("{}.log", service.name));
        rotate(&log, LOG_ROTATE_BYTES);
        let notify = NotifySocket::bind(&sockets.join(format!("{}.notify", service.name)))?;
        Ok(Self { service, log, notify })
    }

    pub(super) fn name(&self) -> &'static str {
        self.service.name
    }

    pub(super) fn is_given_up(&self) -> bool {
        self.service.is_given_up
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts the process.
    pub(super) fn start(&self) -> Result<Child, ServiceError> {
        let service = &self.service;
        let opened = OpenOptions::new().create(true).append(true).open(&self.log);
        let opened = opened.and_then(|file| Ok((file.try_clone()?, file)));
        let (stdout, stderr) =
            opened.map_err(|source| ServiceError::Log { path: self.log.display().to_string(), source })?;
        // `nice` of coreutils replaces itself by the program: no extra process, and no unsafe code between fork and exec.
        let mut command = if service.nice == 0 {
            Command::new(&service.program)
        } else {
            let mut command = Command::new("/usr/bin/nice");
            command.arg("-n").arg(service.nice.to_string()).arg(&service.program);
            command
        };
        command
            .args(&service.args)
            .env_clear()
            .envs(variables::of_node())
            .env("NOTIFY_SOCKET", self.notify.path())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            // A terminal's Ctrl-C must reach only the stub: the supervisor decides in which order daemons stop.
            .process_group(0);
        command.envs(service.env.iter().map(|(key, value)| (key, value)));
        command.spawn().map_err(|source| ServiceError::Spawn {
            name: service.name,
            program: service.program.display().to_string(),
            source,
        })
    }

    /// Waits until the process ends or `stop` is cancelled, which ends the process. Calls `on_ready` when the daemon reports
    /// readiness.
    pub(super) async fn watch(&self, mut child: Child, stop: &CancellationToken, on_ready: impl FnOnce()) -> End {
        let mut on_ready = Some(on_ready);
        let mut look = tokio::time::interval(LOG_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                status = child.wait() => return End::Died(match status {
                    Ok(status) => describe(status),
                    // Impossible while only this function waits for the child; its exit status is lost.
                    Err(_) => describe(ExitStatus::from_raw(0)),
                }),
                is_ready = self.notify.ready(), if on_ready.is_some() => {
                    if let (true, Some(on_ready)) = (is_ready, on_ready.take()) {
                        on_ready();
                    }
                }
                _ = look.tick() => {
                    let log = self.log.clone();
                    // Copies some megabytes once in a long while; the one thread of the runtime has others to serve.
                    drop(tokio::task::spawn_blocking(move || rotate(&log, LOG_ROTATE_BYTES)));
                }
                () = stop.cancelled() => {
                    self.terminate(&mut child).await;
                    return End::Stopped;
                }
            }
        }
    }

    async fn terminate(&self, child: &mut Child) {
        let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) else { return };
        // ESRCH: the process has just ended.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        let Service { name, stop_timeout, .. } = &self.service;
        if tokio::time::timeout(*stop_timeout, child.wait()).await.is_err() {
            tracing::warn!("{name} ignored SIGTERM for {} s and was killed", stop_timeout.as_secs());
            let _ = child.kill().await;
        }
    }
}

/// Moves a long log's content aside. By copying, because a running daemon keeps its file open; it appends, so that it goes on
/// at the begin of the emptied file. Lines that it writes in between are lost.
fn rotate(log: &Path, limit: u64) {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > limit) {
        // On a full disk the copy fails; the loss of an old log is better than no space.
        let _ = std::fs::copy(log, log.with_extension("log.1"));
        let _ = OpenOptions::new().write(true).truncate(true).open(log);
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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_log_moves_aside_while_its_daemon_writes() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("daemon.log");
        let mut daemon = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        daemon.write_all(b"first\n").unwrap();
        rotate(&log, 6);
        assert!(!log.with_extension("log.1").exists(), "it is not longer than the limit");
        for text in ["second\n", "third\n"] {
            daemon.write_all(text.as_bytes()).unwrap();
            rotate(&log, 6);
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert_eq!((read(&log).as_str(), read(&log.with_extension("log.1")).as_str()), ("third\n", "first\nsecond\n"));
    }
}
