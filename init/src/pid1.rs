//! The stub that is PID 1: starts the supervisor, forwards signals to it, reaps every orphan, and ends with its code.
//! Owns `waitpid(-1)`, which nothing else in this program may call: two owners lose exit codes. Starts no
//! thread before the supervisor has ended, does not use tokio, and does not know what the supervisor does.
//!
//! **Process group.** The supervisor gets a group of its own and the stub alone stays in the terminal's foreground
//! group. With `docker run -it`, Ctrl-C signals every member of that group: were the supervisor in it, it would get
//! SIGINT twice (from the terminal, and forwarded), and a second signal means "stop at once"; containerd and etcd
//! would get it too, out of order. This way one Ctrl-C is one SIGINT, forwarded. A background group must not read
//! the terminal (SIGTTIN would stop it), so the supervisor's stdin is `/dev/null`.
//!
//! **No `sync` at the end.** The end of a container is not the end of the machine: the kernel keeps and writes the
//! page cache. A `sync` would wait for the disks of the whole host, and no time limit in here can bound it: a task in
//! uninterruptible sleep holds up the end of its PID namespace, in any process or thread.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kubake_contract::roles;
use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, alarm, getpid, getppid};

/// Seconds between SIGTERM and SIGKILL for processes that outlive the supervisor, and again after SIGKILL. `docker stop`
/// allows 10 s for everything, of which the supervisor has used its share by then.
const GRACE_SECONDS: u32 = 1;

/// Failures that keep the stub from its work.
#[derive(Debug, thiserror::Error)]
pub enum Pid1Error {
    #[error("cannot block signals; is a seccomp profile in the way? run the container with --privileged")]
    Mask(#[source] Errno),
    #[error("cannot become the reaper of orphans (PR_SET_CHILD_SUBREAPER); run the container with --privileged")]
    Subreaper(#[source] Errno),
    #[error("cannot start the supervisor {}; the image is damaged, pull or bake it again", program.display())]
    Spawn {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot wait for signals; report this together with the kernel's version")]
    Wait(#[source] Errno),
    /// The supervisor ended, but the kernel did not report how.
    #[error(
        "the supervisor (pid {pid}) ended and its exit status was lost; start the container with SIGCHLD not ignored"
    )]
    Lost { pid: i32 },
}

/// Runs this program again as the supervisor with `args`, and returns the exit code to end with: the supervisor's, or
/// 128 + the signal that killed it.
///
/// All signals stay blocked in the calling thread afterwards, so that a late one does not change the exit code: the
/// caller is expected to end the process at once.
///
/// # Errors
/// See [`Pid1Error`]; nothing runs when it returns one.
pub fn run(args: &[OsString]) -> Result<i32, Pid1Error> {
    let mut all = vec![OsString::from(roles::SUPERVISE)];
    all.extend_from_slice(args);
    // Not `current_exe()`: this link leads to this program's binary even if the file was replaced or unlinked meanwhile.
    run_with(Path::new("/proc/self/exe"), &all)
}

/// [`run`] with any program as the supervisor.
///
/// # Errors
/// See [`Pid1Error`].
pub fn run_with(program: &Path, args: &[OsString]) -> Result<i32, Pid1Error> {
    let signals = blocked();
    let original = signals.thread_swap_mask(SigmaskHow::SIG_SETMASK).map_err(Pid1Error::Mask)?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(Pid1Error::Wait)?;
    let myself = getpid();
    // Under tini, `docker --init` or in a shared PID namespace, another process is PID 1 and would get the orphans.
    let is_init = myself == Pid::from_raw(1);
    if !is_init {
        prctl::set_child_subreaper(true).map_err(Pid1Error::Subreaper)?;
    }
    let supervisor = spawn(program, args, original, myself)?;
    let code = attend(&signals, supervisor)?;
    end_the_rest(&signals, myself, is_init);
    Ok(code)
}

/// Returns the exit code for the end of a process: its own, or 128 + the signal, as in shells; `None` while it runs.
#[must_use]
pub fn exit_code(status: WaitStatus) -> Option<i32> {
    match status {
        WaitStatus::Exited(_, code) => Some(code),
        WaitStatus::Signaled(_, signal, _) => Some(128 + signal as i32),
        _ => None,
    }
}

/// All signals except those that the kernel raises for a fault of this program: to block them is undefined behaviour.
fn blocked() -> SigSet {
    let mut signals = SigSet::all();
    for fault in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGFPE,
        Signal::SIGILL,
        Signal::SIGABRT,
        Signal::SIGTRAP,
        Signal::SIGSYS,
    ] {
        signals.remove(fault);
    }
    signals
}

fn spawn(program: &Path, args: &[OsString], original: SigSet, parent: Pid) -> Result<Pid, Pid1Error> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0);
    let in_child = move || {
        // If the stub is killed, the supervisor gets SIGTERM, so that it still stops everything in order.
        prctl::set_pdeathsig(Signal::SIGTERM)?;
        if getppid() != parent {
            // The stub ended before the line above, so no signal will arrive.
            return Err(io::Error::from(Errno::ESRCH));
        }
        // `std` lets the child inherit the mask; a supervisor with everything blocked never sees SIGTERM.
        original.thread_set_mask()?;
        Ok(())
    };
    // SAFETY: between fork and exec only prctl(2), getppid(2) and sigprocmask(2) are called, all async-signal-safe;
    // nothing is allocated and no lock is taken (`io::Error::from(Errno)` holds the number only).
    #[expect(unsafe_code, reason = "`pre_exec` is the only way to set a child's signal mask")]
    unsafe {
        command.pre_exec(in_child);
    }
    let child = command.spawn().map_err(|source| Pid1Error::Spawn { program: program.to_owned(), source })?;
    // A Linux pid never exceeds 2^22.
    Ok(Pid::from_raw(child.id() as i32))
}

/// Forwards signals and reaps until the supervisor has ended.
fn attend(signals: &SignalFd, supervisor: Pid) -> Result<i32, Pid1Error> {
    loop {
        match next(signals)? {
            Signal::SIGCHLD => {
                let mut ended = None;
                let left = reap(|status| {
                    if status.pid() == Some(supervisor) {
                        if let WaitStatus::Signaled(_, signal, _) = status {
                            // It had no chance to log its own end, so without this line the log just stops.
                            tracing::error!("the supervisor was killed by {signal}, so the container ends");
                        }
                        ended = exit_code(status);
                    }
                });
                match ended {
                    Some(code) => return Ok(code),
                    None if !left => return Err(Pid1Error::Lost { pid: supervisor.as_raw() }),
                    None => {}
                }
            }
            // Job control is between a terminal and the process that touched it. A supervisor stopped by Ctrl-Z would
            // stay stopped: there is no shell in here that could continue it.
            Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => {}
            // SIGPIPE concerns writes of this process.
            Signal::SIGPIPE => {}
            signal => {
                tracing::debug!(%signal, "forwarded to the supervisor");
                match kill(supervisor, signal) {
                    // ESRCH: it ended, and SIGCHLD is on its way.
                    Ok(()) | Err(Errno::ESRCH) => {}
                    Err(error) => tracing::warn!(%signal, %error, "cannot forward to the supervisor"),
                }
            }
        }
    }
}

/// Returns the next signal. Real-time signals have no name in `nix` (its `sigwait` panics on them, therefore a signalfd).
/// Container engines send only SIGRTMIN+3, the stop signal of systemd images, so each of them counts as SIGTERM.
fn next(signals: &SignalFd) -> Result<Signal, Pid1Error> {
    loop {
        match signals.read_signal() {
            Ok(Some(info)) => {
                return Ok(Signal::try_from(info.ssi_signo as i32).unwrap_or(Signal::SIGTERM));
            }
            Ok(None) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Pid1Error::Wait(error)),
        }
    }
}

/// Reaps every process that has ended; returns false when no child is left.
fn reap(mut each: impl FnMut(WaitStatus)) -> bool {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => return true,
            Ok(status) => each(status),
            // A child killed by a real-time signal is reaped, but its status has no name in `nix`.
            Err(Errno::EINVAL | Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
}

/// Ends processes that the supervisor left: SIGTERM, a second, SIGKILL. Returns as soon as no child is left.
///
/// `alarm(2)` limits the time: SIGALRM is blocked and awaited like SIGCHLD, so that one wait serves both.
fn end_the_rest(signals: &SignalFd, myself: Pid, is_init: bool) {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        send_to_the_rest(signal, myself, is_init);
        alarm::set(GRACE_SECONDS);
        loop {
            if !reap(|_| ()) {
                alarm::cancel();
                return;
            }
            match next(signals) {
                // The end of one process can pass its children on to this one, and they may be newer than the last signal.
                Ok(Signal::SIGCHLD) if signal == Signal::SIGKILL => send_to_the_rest(signal, myself, is_init),
                Ok(Signal::SIGALRM) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot wait for the remaining processes");
                    return;
                }
            }
        }
    }
    tracing::warn!("processes survive SIGKILL; the kernel has them in uninterruptible sleep");
}

fn send_to_the_rest(signal: Signal, myself: Pid, is_init: bool) {
    // For PID 1, -1 is the whole namespace. For another process it is every process that it may signal, the host's included.
    let targets = if is_init { vec![Pid::from_raw(-1)] } else { descendants(&parents(Path::new("/proc")), myself) };
    for pid in targets {
        match kill(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(%pid, %signal, %error, "cannot signal a remaining process"),
        }
    }
}

/// Returns each process with its parent. Processes that end meanwhile are left out.
fn parents(proc: &Path) -> HashMap<Pid, Pid> {
    let Ok(entries) = std::fs::read_dir(proc) else { return HashMap::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((Pid::from_raw(pid), parent(&stat)?))
        })
        .collect()
}

/// Parses the parent from a line of `/proc/PID/stat`. The name before it may contain spaces and parentheses (`proc(5)`), so
/// the last parenthesis counts.
fn parent(stat: &str) -> Option<Pid> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok().map(Pid::from_raw)
}

/// Returns all processes below `root`.
fn descendants(parents: &HashMap<Pid, Pid>, root: Pid) -> Vec<Pid> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&above) = found.get(next) {
        found.extend(parents.iter().filter(|(pid, parent)| **parent == above && **pid != above).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_follow_the_shell() {
        let pid = Pid::from_raw(7);
        for (status, code) in [
            (WaitStatus::Exited(pid, 0), Some(0)),
            (WaitStatus::Exited(pid, 64), Some(64)),
            (WaitStatus::Signaled(pid, Signal::SIGKILL, false), Some(137)),
            (WaitStatus::Signaled(pid, Signal::SIGSEGV, true), Some(139)),
            (WaitStatus::Stopped(pid, Signal::SIGSTOP), None),
            (WaitStatus::Continued(pid), None),
            (WaitStatus::StillAlive, None),
        ] {
            assert_eq!(exit_code(status), code, "{status:?}");
        }
    }

    #[test]
    fn parents_are_found_behind_odd_names() {
        assert_eq!(parent("12 (sh) S 7 12 12 0 -1"), Some(Pid::from_raw(7)));
        assert_eq!(parent("12 (a) b (c) S 9 12 12 0 -1"), Some(Pid::from_raw(9)));
        assert_eq!(parent("12 (sh"), None);
    }

    #[test]
    fn descendants_are_the_whole_tree_and_no_others() {
        let tree = [(1, 0), (5, 1), (6, 5), (7, 6), (8, 1)]
            .map(|(pid, parent)| (Pid::from_raw(pid), Pid::from_raw(parent)))
            .into_iter()
            .collect();
        let mut found: Vec<i32> = descendants(&tree, Pid::from_raw(5)).into_iter().map(Pid::as_raw).collect();
        found.sort_unstable();
        assert_eq!(found, [6, 7]);
        assert_eq!(descendants(&tree, Pid::from_raw(8)), []);
    }

    #[test]
    fn faults_are_not_blocked() {
        assert!(!blocked().contains(Signal::SIGSEGV));
        assert!(blocked().contains(Signal::SIGTERM) && blocked().contains(Signal::SIGCHLD));
    }
}
