//! Owns putting an engine where there is none: installing Debian's packages, starting dockerd, and stopping the one
//! that was started here. It changes the host only when its caller says that the user allowed it, never touches an
//! engine that it did not start, and never configures dockerd.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::{Pid, Uid};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::apt::{self, Mirrors, OsRelease, Source};
use super::guard::TempFile;
use super::{Engine, EngineError};
use crate::advice::Advice;
use crate::process::{Call, Cancel, RunError, Runner};

/// Debian's release from which an engine comes where the host's own is too old.
const NEWER_SUITE: &str = "trixie";
/// The oldest major version of Docker that works.
const OLDEST: u32 = 23;
const SOURCES_FILE: &str = "/etc/apt/sources.list.d/kubake-engine.sources";
const PREFERENCES_FILE: &str = "/etc/apt/preferences.d/kubake-engine";
/// Preferred first: it holds the newer release's keys alone, and they are there where the common ring is older.
const KEYRINGS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-trixie-stable.gpg", "/usr/share/keyrings/debian-archive-keyring.gpg"];
/// Without this one there is no engine.
const ENGINE_PACKAGE: &str = "docker.io";
/// What comes with it, where the release has it: Ubuntu and older Debian have the CLI in `docker.io` itself.
const COMPANIONS: [&str; 4] = ["docker-buildx", "docker-cli", "iptables", "mmdebstrap"];
const APT_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const ASK_TIMEOUT: Duration = Duration::from_secs(60);
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// dockerd gives containers 15 s and plugins some more.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a process or socket is looked at that nothing announces.
const LOOK: Duration = Duration::from_millis(50);
const LOG_TAIL_LINES: usize = 20;

/// Why there still is no engine.
#[derive(Debug, Error)]
pub enum InstallError {
    /// Nobody allowed it.
    #[error("{reason}; allow kubake to {action} with --yes, or do it yourself")]
    NotAllowed {
        /// What is wrong.
        reason: String,
        /// What would be done.
        action: &'static str,
    },
    /// Not root.
    #[error("only root can {action}; run the same command with sudo")]
    NotRoot {
        /// What.
        action: &'static str,
    },
    /// Neither Debian nor Ubuntu.
    #[error(
        "kubake installs an engine on Debian and Ubuntu only, and this is {system}; install docker or podman by hand"
    )]
    Unsupported {
        /// The system.
        system: String,
    },
    /// No package, and no newer release to take it from.
    #[error(
        "{system} has {found} of `{ENGINE_PACKAGE}`, kubake needs {OLDEST} or newer; install a newer Docker by hand"
    )]
    TooOld {
        /// The system.
        system: String,
        /// `version …` or `no version`.
        found: String,
    },
    /// The newer release's keys are missing.
    #[error("no keyring of Debian's archive in /usr/share/keyrings; install the package debian-archive-keyring")]
    NoKeyring,
    /// apt's sources name no mirror to take the newer release from.
    #[error("apt's sources name no mirror of Debian; add one, or install docker or podman by hand")]
    NoMirror,
    /// A file of the host.
    #[error("{action} `{}`", .path.display())]
    File {
        /// `read`, `write` …
        action: &'static str,
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// apt or systemctl failed.
    #[error("{what}; see its output above, correct it and try again")]
    Command {
        /// What did not work.
        what: &'static str,
        /// Why.
        #[source]
        source: RunError,
    },
    /// dockerd ended or did not answer.
    #[error("dockerd {what}; the end of {}:\n{tail}", .log.display())]
    Dockerd {
        /// What happened.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// dockerd would not go.
    #[error("process {pid} (`{name}`) does not end; look at it with `ps -fp {pid}`")]
    WouldNotStop {
        /// Its number.
        pid: i32,
        /// Its name.
        name: String,
    },
    /// The user asked to stop.
    #[error("interrupted while waiting for dockerd")]
    Interrupted,
    /// What is there does not work for another reason.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Advice for InstallError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Command { source, .. } => Some(source),
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some("`kubake doctor` looks at this machine".to_owned())
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

/// What has to be installed, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Files to write first, so that apt knows the newer release.
    pub files: Vec<(PathBuf, String)>,
    /// The release to take packages from, if not the host's own.
    pub target_release: Option<&'static str>,
    /// Packages.
    pub packages: Vec<String>,
}

/// Decides what to install. `candidates` are the versions that apt would install now, `keyrings` the files of
/// [`KEYRINGS`] that exist.
///
/// # Errors
/// [`InstallError::Unsupported`], [`InstallError::TooOld`] or [`InstallError::NoKeyring`].
pub fn plan(
    os: &OsRelease,
    sources: &[Source],
    candidates: &BTreeMap<String, String>,
    keyrings: &[&str],
) -> Result<Plan, InstallError> {
    let debian = os.id == "debian";
    if !debian && os.id != "ubuntu" && !os.id_like.iter().any(|like| like == "debian" || like == "ubuntu") {
        let name = if os.pretty_name.is_empty() { "an unknown system" } else { &os.pretty_name };
        return Err(InstallError::Unsupported { system: name.to_owned() });
    }
    let candidate = candidates.get(ENGINE_PACKAGE);
    if candidate.and_then(|version| apt::major(version)).is_some_and(|major| major >= OLDEST) {
        let companions = COMPANIONS.iter().filter(|package| candidates.contains_key(**package));
        let packages = [ENGINE_PACKAGE].iter().chain(companions).map(|package| (*package).to_owned()).collect();
        return Ok(Plan { files: Vec::new(), target_release: None, packages });
    }
    // Only Debian's own next release fits under what a Debian has; on a derivative that is anybody's guess.
    if !debian {
        let found = candidate.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
        return Err(InstallError::TooOld { system: os.pretty_name.clone(), found });
    }
    let packages = [ENGINE_PACKAGE].iter().chain(&COMPANIONS).map(|package| (*package).to_owned()).collect();
    let mirror = Mirrors::of(sources).ok_or(InstallError::NoMirror)?.main;
    let known = sources.iter().any(|source| {
        source.suites.iter().any(|suite| suite == NEWER_SUITE)
            && source.uris.iter().any(|uri| uri.trim_end_matches('/') == mirror)
    });
    let mut files = Vec::new();
    if !known {
        let keyring = KEYRINGS.iter().find(|ring| keyrings.contains(ring)).ok_or(InstallError::NoKeyring)?;
        files.push((
            PREFERENCES_FILE.into(),
            // Below the 500 of the host's own release: nothing else comes from there, now or at an upgrade.
            format!("Package: *\nPin: release n={NEWER_SUITE}\nPin-Priority: 100\n"),
        ));
        files.push((
            SOURCES_FILE.into(),
            format!("Types: deb\nURIs: {mirror}\nSuites: {NEWER_SUITE}\nComponents: main\nSigned-By: {keyring}\n"),
        ));
    }
    Ok(Plan { files, target_release: Some(NEWER_SUITE), packages })
}

/// The calls of `apt-get` share these: no questions, and patience with another apt.
fn apt_get(args: &[&str]) -> Call {
    Call::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "APT::Get::Assume-Yes=true", "-q"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .timeout(APT_TIMEOUT)
}

fn install_call(plan: &Plan) -> Call {
    let mut call = apt_get(&["install", "--no-install-recommends"]);
    if let Some(release) = plan.target_release {
        call = call.args(["-t", release]);
    }
    call.args(&plan.packages)
}

fn policy(runner: &Runner) -> Result<BTreeMap<String, String>, InstallError> {
    let call = Call::new("apt-cache")
        .args(["policy", ENGINE_PACKAGE])
        .args(COMPANIONS)
        .env("LC_ALL", "C")
        .timeout(ASK_TIMEOUT);
    let text = runner
        .run_captured(call)
        .map_err(|source| InstallError::Command { what: "apt-cache does not answer", source })?;
    Ok(apt::parse_policy(&text))
}

/// Computes the plan for this host from what apt knows now.
///
/// # Errors
/// See [`InstallError`].
pub fn plan_here(runner: &Runner) -> Result<Plan, InstallError> {
    let root = Path::new("/");
    let os = OsRelease::read(root).map_err(|_| InstallError::Unsupported { system: "an unknown system".to_owned() })?;
    let keyrings: Vec<&str> = KEYRINGS.into_iter().filter(|ring| Path::new(ring).exists()).collect();
    if which::which("apt-get").is_err() {
        return Err(InstallError::Unsupported { system: os.pretty_name });
    }
    plan(&os, &apt::read_sources(root), &policy(runner)?, &keyrings)
}

/// Installs Debian's engine packages; apt's output goes to `on_line`.
///
/// # Errors
/// See [`InstallError`].
pub fn install(runner: &Runner, mut on_line: impl FnMut(&str)) -> Result<(), InstallError> {
    if !Uid::effective().is_root() {
        return Err(InstallError::NotRoot { action: "install packages" });
    }
    let mut stream = |call: Call, what: &'static str| {
        runner
            .stream(call, |line| {
                on_line(line.text);
                ControlFlow::Continue(())
            })
            .map(drop)
            .map_err(|source| InstallError::Command { what, source })
    };
    stream(apt_get(&["update"]), "apt-get update failed")?;
    let plan = plan_here(runner)?;
    for (path, text) in &plan.files {
        let file = TempFile::beside(path);
        let written = fs::write(file.path(), text).and_then(|()| file.persist().map(drop));
        written.map_err(|source| InstallError::File { action: "write", path: path.clone(), source })?;
    }
    if !plan.files.is_empty() {
        stream(apt_get(&["update"]), "apt-get update with Debian's newer release failed")?;
    }
    stream(install_call(&plan), "apt-get install failed")
}

/// A dockerd that `kubake` starts where no systemd does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerd {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Where it listens.
    pub socket: PathBuf,
    /// Where its output goes.
    pub log: PathBuf,
    /// Where we remember it.
    pub record: PathBuf,
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

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Process {
    pid: i32,
    /// Clock ticks since boot.
    start_time: u64,
}

/// What `/proc/PID/stat` says: parent, start time, and whether the process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    start_time: u64,
    zombie: bool,
}

fn parse_stat(text: &str) -> Option<Stat> {
    // The name stands in parentheses and may hold any character, so fields count from the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?).filter(|stat| !stat.zombie)
}

/// All that run now.
fn processes() -> impl Iterator<Item = Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::of(entry.file_name().to_str()?.parse().ok()?))
}

impl Process {
    fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start_time: stat.start_time })
    }

    fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// This process's children and theirs.
    fn descendants(self) -> Vec<Self> {
        let mut parents: BTreeMap<i32, Vec<Self>> = BTreeMap::new();
        for process in processes() {
            if let Some(stat) = stat(process.pid) {
                parents.entry(stat.parent).or_default().push(process);
            }
        }
        let mut found = parents.remove(&self.pid).unwrap_or_default();
        let mut next = 0;
        while let Some(process) = found.get(next) {
            let children = parents.remove(&process.pid).unwrap_or_default();
            found.extend(children);
            next += 1;
        }
        found
    }

    fn signal(self, signal: Signal) {
        if self.runs() {
            // It may end in between, which is what is wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    fn name(self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim().to_owned()
    }
}

/// Waits until none of the processes runs; the answer is the first that still does.
fn wait_gone(processes: &[Process], bound: Duration) -> Option<Process> {
    let deadline = Instant::now() + bound;
    loop {
        for process in processes {
            // Where this very process started it, nobody else takes its remains away; of others' it is told ECHILD.
            let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
        }
        let left = processes.iter().copied().find(|process| process.runs())?;
        if Instant::now() >= deadline {
            return Some(left);
        }
        std::thread::sleep(LOOK);
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
    pub fn start(&self, cancel: &Cancel) -> Result<(), InstallError> {
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
    pub fn stop(&self) -> Result<bool, InstallError> {
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

/// The shims of a containerd that dockerd started: they detach from it, but name its socket.
fn shims(containerd: Process) -> Vec<Process> {
    let words = |pid: i32| -> Vec<String> {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    // `containerd --config EXEC-ROOT/containerd/containerd.toml`, with `containerd.sock` in the same directory.
    let Some(socket) = words(containerd.pid).iter().find_map(|word| {
        let directory = word.strip_suffix("/containerd.toml")?;
        Some(format!("{directory}/containerd.sock"))
    }) else {
        return Vec::new();
    };
    processes()
        .filter(|process| process.name().starts_with("containerd-shim") && words(process.pid).contains(&socket))
        .collect()
}

/// Ends dockerd in order, and then whatever it leaves. All are noted before, since they lose it as their parent.
fn stop_process(process: Process) -> Result<(), InstallError> {
    let mut rest = process.descendants();
    let more: Vec<Process> = rest.iter().flat_map(|child| shims(*child)).collect();
    rest.extend(more);
    process.signal(Signal::SIGTERM);
    let hangs = wait_gone(&[process], STOP_TIMEOUT);
    rest.push(process);
    if hangs.is_none() {
        for left in &rest {
            left.signal(Signal::SIGTERM);
        }
        if wait_gone(&rest, STOP_TIMEOUT).is_none() {
            return Ok(());
        }
    }
    for left in &rest {
        left.signal(Signal::SIGKILL);
    }
    match wait_gone(&rest, KILL_TIMEOUT) {
        None => Ok(()),
        Some(left) => Err(InstallError::WouldNotStop { pid: left.pid, name: left.name() }),
    }
}

/// Whether systemd is the running init, below `root`.
#[must_use]
pub fn has_systemd(root: &Path) -> bool {
    root.join("run/systemd/system").is_dir()
}

/// Starts the installed engine: through systemd where it runs, else by hand.
///
/// # Errors
/// See [`InstallError`].
pub fn start(runner: &Runner) -> Result<(), InstallError> {
    if !Uid::effective().is_root() {
        return Err(InstallError::NotRoot { action: "start dockerd" });
    }
    if has_systemd(Path::new("/")) {
        let call = Call::new("systemctl").args(["enable", "--now", "docker"]).timeout(START_TIMEOUT);
        return runner
            .run(call)
            .map_err(|source| InstallError::Command { what: "systemctl does not start docker", source });
    }
    Dockerd::default().start(runner.cancel())
}

/// Stops the dockerd that [`start`] started by hand; one that systemd started stays. The answer is false where
/// there is none of ours.
///
/// # Errors
/// See [`Dockerd::stop`].
pub fn stop_started_by_us() -> Result<bool, InstallError> {
    Dockerd::default().stop()
}

/// What [`ensure`] found or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// An engine answered.
    Nothing,
    /// It was installed and is now started.
    Started,
    /// It is now installed and started.
    Installed,
}

/// What has to happen so that there is an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    Start,
    Install,
}

/// Decides what helps against an error of [`Engine::detect`]. An engine that the user pointed to (`DOCKER_HOST`,
/// a context) is the user's to start, and one that is too old the user's to replace.
fn remedy(error: &EngineError, dockerd_installed: bool, named_elsewhere: bool) -> Option<Remedy> {
    if named_elsewhere {
        return None;
    }
    match error {
        EngineError::NotInstalled if dockerd_installed => None,
        EngineError::NotInstalled => Some(Remedy::Install),
        EngineError::NotAnswering { .. } if dockerd_installed => Some(Remedy::Start),
        EngineError::NotAnswering { .. } => Some(Remedy::Install),
        EngineError::NamedNotInstalled { .. }
        | EngineError::PermissionDenied { .. }
        | EngineError::TooOld { .. }
        | EngineError::Strange { .. }
        | EngineError::NoBuilder
        | EngineError::Run(_) => None,
    }
}

/// Finds an engine; where none answers and `allowed` says that the user agreed, installs or starts one.
///
/// # Errors
/// See [`InstallError`].
pub fn ensure(runner: &Runner, allowed: bool, mut on_line: impl FnMut(&str)) -> Result<(Engine, Done), InstallError> {
    let error = match Engine::detect(runner.clone()) {
        Ok(engine) => return Ok((engine, Done::Nothing)),
        Err(error) => error,
    };
    let elsewhere = ["DOCKER_HOST", "DOCKER_CONTEXT", super::ENGINE_VARIABLE]
        .iter()
        .any(|variable| std::env::var_os(variable).is_some_and(|value| !value.is_empty()));
    let Some(remedy) = remedy(&error, which::which("dockerd").is_ok(), elsewhere) else { return Err(error.into()) };
    let action = match remedy {
        Remedy::Start => "start dockerd",
        Remedy::Install => "install and start Docker from Debian's packages",
    };
    if !allowed {
        return Err(InstallError::NotAllowed { reason: error.to_string(), action });
    }
    on_line(action);
    if remedy == Remedy::Install {
        install(runner, &mut on_line)?;
    }
    start(runner)?;
    let done = if remedy == Remedy::Install { Done::Installed } else { Done::Started };
    Ok((Engine::detect(runner.clone())?, done))
}

/// The engine for tests that were asked for (`--include-ignored`): installed and started if need be, by one of them.
#[cfg(test)]
pub(crate) fn for_tests(runner: &Runner) -> Engine {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure(runner, true, |line| tracing::info!("{line}")).unwrap().0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debian() -> OsRelease {
        OsRelease { id: "debian".into(), pretty_name: "Debian GNU/Linux 12 (bookworm)".into(), ..OsRelease::default() }
    }

    fn candidates(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
    }

    #[test]
    fn a_release_with_a_new_engine_is_used_as_it_is() {
        let ubuntu = OsRelease { id: "ubuntu".into(), id_like: vec!["debian".into()], ..OsRelease::default() };
        let known =
            candidates(&[("docker.io", "24.0.7-0ubuntu2~22.04.1"), ("iptables", "1.8"), ("docker-buildx", "0.12")]);
        let plan = plan(&ubuntu, &[], &known, &[]).unwrap();
        assert_eq!(plan.packages, ["docker.io", "docker-buildx", "iptables"]);
        assert_eq!((plan.files.len(), plan.target_release), (0, None));
    }

    #[test]
    fn an_old_debian_takes_the_engine_from_the_next() {
        let sources = apt::parse_one_line("deb http://mirror.example/debian/ bookworm main\n");
        let old = candidates(&[("docker.io", "20.10.24+dfsg1-1+b3"), ("iptables", "1.8.9-2")]);
        let plan = plan(&debian(), &sources, &old, &[KEYRINGS[1], KEYRINGS[0]]).unwrap();
        assert_eq!(plan.target_release, Some("trixie"));
        assert_eq!(
            install_call(&plan).pasteable(),
            "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o APT::Get::Assume-Yes=true -q install \
             --no-install-recommends -t trixie docker.io docker-buildx docker-cli iptables mmdebstrap"
        );
        assert_eq!(plan.files[0].1, "Package: *\nPin: release n=trixie\nPin-Priority: 100\n");
        assert_eq!(
            plan.files[1].1,
            "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-trixie-stable.gpg\n"
        );
        // Done once, the release is known, and nothing is written again.
        let mut twice = sources;
        twice.extend(apt::parse_deb822(&plan.files[1].1));
        assert!(super::plan(&debian(), &twice, &old, &[]).unwrap().files.is_empty());
    }

    #[test]
    fn what_cannot_be_helped_is_said() {
        let fedora = OsRelease { id: "fedora".into(), pretty_name: "Fedora 43".into(), ..OsRelease::default() };
        let mint = OsRelease { id: "linuxmint".into(), id_like: vec!["ubuntu".into()], ..OsRelease::default() };
        let none = candidates(&[]);
        let error = plan(&fedora, &[], &none, &[]).unwrap_err();
        assert!(error.to_string().contains("this is Fedora 43"), "{error}");
        let error = plan(&mint, &[], &none, &[]).unwrap_err();
        assert!(error.to_string().contains("has no version of `docker.io`"), "{error}");
        assert!(matches!(plan(&debian(), &[], &none, &[]), Err(InstallError::NoMirror)));
        let sources = apt::parse_one_line("deb http://mirror.example/debian bookworm main\n");
        assert!(matches!(plan(&debian(), &sources, &none, &[]), Err(InstallError::NoKeyring)));
    }

    #[test]
    fn remedies() {
        let not_answering = || EngineError::NotAnswering { program: "docker".into(), stderr: String::new() };
        for (error, dockerd, elsewhere, expected) in [
            (EngineError::NotInstalled, false, false, Some(Remedy::Install)),
            (not_answering(), true, false, Some(Remedy::Start)),
            (not_answering(), false, false, Some(Remedy::Install)),
            (not_answering(), true, true, None),
            (EngineError::PermissionDenied { stderr: String::new() }, true, false, None),
        ] {
            assert_eq!(remedy(&error, dockerd, elsewhere), expected, "{error}");
        }
    }

    #[test]
    fn stat_of_a_process_with_a_nasty_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, start_time: 98765, zombie: false }));
        assert!(parse_stat("42 (gone) Z 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1").unwrap().zombie);
        assert_eq!(parse_stat("nonsense"), None);
    }

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
    #[ignore = "needs root, and Debian or Ubuntu"]
    fn the_plan_of_this_host() {
        for_tests(&Runner::default());
        let plan = plan_here(&Runner::default()).unwrap();
        assert!(plan.packages.contains(&"docker.io".to_owned()), "{plan:?}");
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
            // whoever made it, and takes the network from every container and build of the host's own engine.
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
