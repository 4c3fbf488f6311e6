//! Processes of this host by `/proc`, distinguished from later processes with the same number, and how they are
//! ended.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::error::InstallError;

/// dockerd gives containers 15 s and plugins some more.
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a process or socket is looked at that nothing announces.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: i32,
    /// Clock ticks since boot.
    pub(super) start_time: u64,
}

/// What `/proc/PID/stat` says: parent, start time, and whether the process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: i32,
    pub(super) start_time: u64,
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
    pub(super) fn of(pid: i32) -> Option<Self> {
        stat(pid).map(|stat| Self { pid, start_time: stat.start_time })
    }

    pub(super) fn runs(self) -> bool {
        Self::of(self.pid) == Some(self)
    }

    /// This process's children and theirs.
    pub(super) fn descendants(self) -> Vec<Self> {
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

    pub(super) fn signal(self, signal: Signal) {
        if self.runs() {
            // It may end in between, which is what is wanted.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    pub(super) fn name(self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim().to_owned()
    }
}

/// Waits until none of the processes runs; the answer is the first that still does.
fn wait_gone(processes: &[Process], bound: Duration) -> Option<Process> {
    let deadline = Instant::now() + bound;
    loop {
        for process in processes {
            // Reaps a child of this process, which no other process can do; for all others the kernel returns ECHILD.
            let _ = waitpid(Pid::from_raw(process.pid), Some(WaitPidFlag::WNOHANG));
        }
        let left = processes.iter().copied().find(|process| process.runs())?;
        if Instant::now() >= deadline {
            return Some(left);
        }
        std::thread::sleep(LOOK);
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

/// Ends dockerd in order, and then what remains of it. Its descendants are listed first: once dockerd has ended, it
/// is no longer their parent.
pub(super) fn stop_process(process: Process) -> Result<(), InstallError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_of_a_process_with_a_nasty_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2";
        assert_eq!(parse_stat(text), Some(Stat { parent: 7, start_time: 98765, zombie: false }));
        assert!(parse_stat("42 (gone) Z 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 5 1").unwrap().zombie);
        assert_eq!(parse_stat("nonsense"), None);
    }
}
