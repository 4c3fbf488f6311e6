//! A dockerd that `kubake` starts itself where no systemd does, remembers in a file, and stops again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::error::InstallError;
use super::processes::{LOOK, Process, stop_process};
use crate::process::Cancel;

pub(super) const START_TIMEOUT: Duration = Duration::from_secs(90);
const LOG_TAIL_LINES: usize = 20;

/// A dockerd that `kubake` starts where no systemd does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dockerd {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    /// Where it listens.
    pub(crate) socket: PathBuf,
    /// Where its output goes.
    pub(crate) log: PathBuf,
    /// Where we remember it.
    pub(crate) record: PathBuf,
}

impl Default for Dockerd {
    fn default() -> Self {
        Self {
            program: "dockerd".into(),
            args: Vec::new(),
            socket: "/var/run/docker.sock".into(),
            log: "/var/log/kubake/dockerd.log".into(),
            record: "/run/kubake/dockerd.json".into(),
        }
    }
}

/// Asks `_ping` on a unix socket.
fn answers(socket: &Path) -> bool {
    let ask = || -> io::Result<bool> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.ends_with(b" 200"))
    };
    ask().unwrap_or(false)
}

fn log_tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

fn with_parent(path: &Path) -> Result<(), InstallError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|source| InstallError::File {
        action: "create the directory",
        path: parent.to_owned(),
        source,
    })
}

impl Dockerd {
    /// Starts it detached from us and waits until it answers. Does nothing where one answers already.
    ///
    /// # Errors
    /// See [`InstallError`]; what was started is stopped again.
    pub(super) fn start(&self, cancel: &Cancel) -> Result<(), InstallError> {
        if answers(&self.socket) {
            return Ok(());
        }
        with_parent(&self.log)?;
        with_parent(&self.record)?;
        let file_error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| InstallError::File { action, path, source }
        };
        let log = File::create(&self.log).map_err(file_error("create", &self.log))?;
        let errors = log.try_clone().map_err(file_error("open", &self.log))?;
        // setsid keeps it alive when our terminal goes. Its child is the daemon itself, under the same number,
        // because we start it in our own process group and not as the leader of one.
        let mut child = Command::new("setsid")
            .arg(&self.program)
            .args(&self.args)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .map_err(file_error("start with setsid", &self.program))?;
        let process = i32::try_from(child.id()).ok().and_then(Process::of);
        let failed = |what: String| InstallError::Dockerd { what, log: self.log.clone(), tail: log_tail(&self.log) };
        let Some(process) = process else { return Err(failed("ended at once".to_owned())) };
        let record = serde_json::to_string(&process).unwrap_or_default();
        if let Err(source) = fs::write(&self.record, record) {
            stop_process(process)?;
            return Err(InstallError::File { action: "write", path: self.record.clone(), source });
        }
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if answers(&self.socket) {
                return Ok(());
            }
            if let Ok(Some(status)) = child.try_wait() {
                drop(fs::remove_file(&self.record));
                return Err(failed(format!("ended ({status})")));
            }
            let awake = cancel.sleep(LOOK);
            if !awake || Instant::now() >= deadline {
                let tail = failed(format!("does not answer after {} s", START_TIMEOUT.as_secs()));
                self.stop()?;
                return Err(if awake { tail } else { InstallError::Interrupted });
            }
        }
    }

    /// Stops the dockerd that [`Self::start`] started, in this or an earlier process, with its containerd. The
    /// answer is false where there is none.
    ///
    /// # Errors
    /// [`InstallError::WouldNotStop`], or a file that cannot be read or removed.
    pub(super) fn stop(&self) -> Result<bool, InstallError> {
        let text = match fs::read_to_string(&self.record) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(InstallError::File { action: "read", path: self.record.clone(), source }),
            Ok(text) => text,
        };
        // A record that cannot be read, or of a process that is gone, says nothing about any that runs.
        let process = serde_json::from_str::<Process>(&text).ok().filter(|process| process.runs());
        if let Some(process) = process {
            stop_process(process)?;
        }
        fs::remove_file(&self.record).map_err(|source| InstallError::File {
            action: "remove",
            path: self.record.clone(),
            source,
        })?;
        Ok(process.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::for_tests;
    use crate::process::Runner;

    #[test]
    fn a_dockerd_that_ends_at_once_shows_its_log_and_leaves_no_record() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let dockerd = Dockerd {
            program: "sh".into(),
            args: vec!["-c".into(), "echo no iptables here; exit 1".into()],
            socket: path("socket"),
            log: path("log/dockerd.log"),
            record: path("run/dockerd.json"),
        };
        let error = dockerd.start(&Cancel::new()).unwrap_err();
        assert!(error.to_string().contains("no iptables here"), "{error}");
        assert!(!dockerd.stop().unwrap());
    }

    #[test]
    fn stopping_spares_a_later_process_with_the_same_number() {
        let directory = tempfile::tempdir().unwrap();
        let record = directory.path().join("dockerd.json");
        let ours = Process::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        let other = Process { start_time: ours.start_time + 1, ..ours };
        fs::write(&record, serde_json::to_string(&other).unwrap()).unwrap();
        let dockerd = Dockerd { record: record.clone(), ..Dockerd::default() };
        assert!(!dockerd.stop().unwrap());
        assert!(!record.exists());
    }

    #[test]
    fn an_interrupted_start_leaves_no_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let dockerd = Dockerd {
            program: "sh".into(),
            args: vec!["-c".into(), "sleep 300 & echo $! > \"$0\"; wait".into(), path("pid").display().to_string()],
            socket: path("socket"),
            log: path("log"),
            record: path("record"),
        };
        let cancel = Cancel::new();
        let trigger = {
            let (cancel, pid) = (cancel.clone(), path("pid"));
            std::thread::spawn(move || {
                while fs::read_to_string(&pid).unwrap_or_default().is_empty() {
                    std::thread::sleep(LOOK);
                }
                cancel.cancel();
            })
        };
        assert!(matches!(dockerd.start(&cancel), Err(InstallError::Interrupted)));
        trigger.join().unwrap();
        let pid: i32 = fs::read_to_string(path("pid")).unwrap().trim().parse().unwrap();
        assert_eq!(Process::of(pid), None);
        assert!(!path("record").exists());
    }

    #[test]
    #[ignore = "needs root, and Debian or Ubuntu or an engine"]
    fn a_second_dockerd_starts_and_stops_and_leaves_no_process() {
        for_tests(&Runner::default());
        let directory = tempfile::Builder::new().prefix("kubake-dockerd-").tempdir_in("/tmp").unwrap();
        let path = |name: &str| directory.path().join(name);
        let show = |name: &str| path(name).display().to_string();
        let dockerd = Dockerd {
            // Never in the host's network namespace: with `--bridge=none` dockerd deletes the interface `docker0`,
            // even one that another dockerd created, and takes the network from every container and build of the host's own engine.
            program: "unshare".into(),
            args: vec![
                "--net".into(),
                "dockerd".into(),
                format!("--data-root={}", show("data")),
                format!("--exec-root={}", show("exec")),
                format!("--host=unix://{}", show("socket")),
                format!("--pidfile={}", show("pid")),
                "--bridge=none".into(),
                "--iptables=false".into(),
            ],
            socket: path("socket"),
            log: path("log"),
            record: path("record.json"),
        };
        let bridge = || fs::read_to_string("/sys/class/net/docker0/ifindex").ok();
        let before = bridge();
        dockerd.start(&Cancel::new()).unwrap();
        let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        let process: Process = serde_json::from_str(&fs::read_to_string(&dockerd.record).unwrap()).unwrap();
        assert_eq!(process.name(), "dockerd");
        assert_ne!(namespace(&process.pid.to_string()), namespace("self"));
        let children = process.descendants();
        assert!(children.iter().any(|child| child.name().starts_with("containerd")), "{children:?}");
        // A second start finds it.
        dockerd.start(&Cancel::new()).unwrap();
        assert!(dockerd.stop().unwrap());
        assert!(!process.runs() && !children.iter().any(|child| child.runs()));
        assert!(!dockerd.stop().unwrap());
        assert_eq!(bridge(), before, "the host's bridge is untouched");
    }
}
