//! Empties the root cgroup of version 2: its processes move to a child, then its controllers are enabled for its children.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::error::CgroupError;
use super::file::read;
use super::hierarchy::{BUSY_LIMIT, LEAF};

/// Controllers that kubelet refuses to start without on version 2, where eBPF controls devices and cpuacct is part of cpu.
const NEEDED_V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// Pause before the next look at processes that cannot be moved. The kernel sends no event when a process leaves a cgroup.
const PAUSE: Duration = Duration::from_millis(2);

/// Moves every process of `cgroup` to its child `init` and enables its controllers for its children. Repeats both while
/// new processes appear. `write` is [`std::fs::write`] except in tests.
pub(super) fn evacuate_at(
    cgroup: &Path,
    write: &mut dyn FnMut(&Path, &str) -> io::Result<()>,
) -> Result<(), CgroupError> {
    let wanted = check_v2(cgroup)?;
    let leaf = cgroup.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Write { path: leaf, text: "a new cgroup".to_owned(), source });
        }
        _ => {}
    }
    let deadline = Instant::now() + BUSY_LIMIT;
    loop {
        let moved = move_all(cgroup, &leaf, write)?;
        match enable(cgroup, &wanted, write) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            // The next round moves processes that have just appeared. A process that cannot be moved (in another PID
            // namespace until it has joined ours, listed as 0) leaves without our help.
            Err(CgroupError::Busy { .. }) if moved == 0 => std::thread::sleep(PAUSE),
            Err(CgroupError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Returns the controllers that `cgroup` can enable for its children.
fn check_v2(cgroup: &Path) -> Result<Vec<String>, CgroupError> {
    let kind_path = cgroup.join("cgroup.type");
    let kind = match fs::read_to_string(&kind_path) {
        Ok(kind) => kind.trim().to_owned(),
        // Only the host's root cgroup has no type.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(CgroupError::HostRoot { path: cgroup.to_owned() });
        }
        Err(source) => return Err(CgroupError::Read { path: kind_path, source }),
    };
    if kind != "domain" {
        return Err(CgroupError::Type { kind });
    }
    let available: Vec<String> =
        read(&cgroup.join("cgroup.controllers"))?.split_whitespace().map(str::to_owned).collect();
    let missing: Vec<String> = NEEDED_V2
        .into_iter()
        .filter(|needed| !available.iter().any(|name| name == needed))
        .map(str::to_owned)
        .collect();
    if missing.is_empty() { Ok(available) } else { Err(CgroupError::Controllers(missing)) }
}

/// Moves all processes that can be moved and returns their number.
fn move_all(
    cgroup: &Path,
    leaf: &Path,
    write: &mut dyn FnMut(&Path, &str) -> io::Result<()>,
) -> Result<usize, CgroupError> {
    let target = leaf.join("cgroup.procs");
    let mut moved = 0;
    // 0 stands for a process outside our PID namespace. Writing 0 would move the calling process.
    for pid in read(&cgroup.join("cgroup.procs"))?.split_whitespace().filter(|pid| *pid != "0") {
        match write(&target, pid) {
            Ok(()) => moved += 1,
            // The process has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
            Err(source) => return Err(CgroupError::Write { path: target, text: pid.to_owned(), source }),
        }
    }
    Ok(moved)
}

/// Enables the controllers that are not enabled yet, with one write each, so that one refusal (cpu while there are
/// real-time processes) does not affect the others. kubelet uses all controllers but starts without the optional ones.
fn enable(
    cgroup: &Path,
    wanted: &[String],
    write: &mut dyn FnMut(&Path, &str) -> io::Result<()>,
) -> Result<(), CgroupError> {
    let path = cgroup.join("cgroup.subtree_control");
    let enabled = read(&path)?;
    for controller in wanted.iter().filter(|wanted| !enabled.split_whitespace().any(|name| name == *wanted)) {
        let text = format!("+{controller}");
        match write(&path, &text) {
            Ok(()) => {}
            Err(source) if source.raw_os_error() == Some(Errno::EBUSY as i32) => {
                return Err(CgroupError::Busy { path: cgroup.to_owned(), source });
            }
            Err(source) if NEEDED_V2.contains(&controller.as_str()) => {
                return Err(CgroupError::Write { path, text, source });
            }
            Err(error) => tracing::warn!(controller, %error, "cannot enable an optional cgroup controller"),
        }
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A directory that looks like a container's root cgroup.
    pub(in crate::host::cgroups) fn fixture(kind: Option<&str>, controllers: &str, procs: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let files = [("cgroup.controllers", controllers), ("cgroup.procs", procs), ("cgroup.subtree_control", "")];
        for (name, text) in files.into_iter().chain(kind.map(|kind| ("cgroup.type", kind))) {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    pub(in crate::host::cgroups) const ALL: &str = "cpuset cpu io memory hugetlb pids\n";

    /// Imitates the kernel: a move removes the pid from the root, and controllers are refused while a process is left
    /// there. `late` processes appear one by one, each just before a controller is enabled.
    struct Kernel {
        root: PathBuf,
        late: Vec<&'static str>,
        writes: Vec<String>,
    }

    impl Kernel {
        fn write(&mut self, path: &Path, text: &str) -> io::Result<()> {
            let procs = self.root.join("cgroup.procs");
            self.writes.push(format!("{} {text}", path.strip_prefix(&self.root).unwrap().display()));
            if path.ends_with("init/cgroup.procs") {
                let left: Vec<String> =
                    fs::read_to_string(&procs)?.lines().filter(|pid| *pid != text).map(str::to_owned).collect();
                fs::write(&procs, left.join("\n"))?;
                return if text == "404" { Err(Errno::ESRCH.into()) } else { Ok(()) };
            }
            if let Some(pid) = self.late.pop() {
                fs::write(&procs, pid)?;
            }
            if !fs::read_to_string(&procs)?.trim().is_empty() {
                return Err(Errno::EBUSY.into());
            }
            let control = fs::read_to_string(path)?;
            fs::write(path, format!("{control} {}", text.trim_start_matches('+')))
        }
    }

    fn evacuate(dir: &Path, late: Vec<&'static str>) -> (Result<(), CgroupError>, Vec<String>) {
        let mut kernel = Kernel { root: dir.to_owned(), late, writes: Vec::new() };
        let result = evacuate_at(dir, &mut |path, text| kernel.write(path, text));
        (result, kernel.writes)
    }

    #[test]
    fn processes_move_and_controllers_are_enabled_once() {
        let dir = fixture(Some("domain\n"), ALL, "1\n7\n404\n");
        let (result, writes) = evacuate(dir.path(), Vec::new());
        result.unwrap();
        assert_eq!(writes[..3], ["init/cgroup.procs 1", "init/cgroup.procs 7", "init/cgroup.procs 404"]);
        let control = fs::read_to_string(dir.path().join("cgroup.subtree_control")).unwrap();
        assert_eq!(control.trim(), ALL.trim());
        let (result, writes) = evacuate(dir.path(), Vec::new());
        result.unwrap();
        assert_eq!(writes, Vec::<String>::new(), "the second call has nothing to do");
    }

    #[test]
    fn a_docker_exec_in_between_is_moved_too() {
        let dir = fixture(Some("domain\n"), ALL, "1\n");
        let (result, writes) = evacuate(dir.path(), vec!["31", "30"]);
        result.unwrap();
        for pid in ["1", "30", "31"] {
            assert!(writes.contains(&format!("init/cgroup.procs {pid}")), "{writes:?}");
        }
    }

    #[test]
    fn a_process_of_another_pid_namespace_is_never_moved_and_ends_the_wait() {
        let dir = fixture(Some("domain\n"), ALL, "0\n");
        let mut rounds = 0;
        let result = evacuate_at(dir.path(), &mut |path, text| {
            assert!(path.ends_with("cgroup.subtree_control"), "{text} would move the calling process");
            rounds += 1;
            if rounds < 3 { Err(Errno::EBUSY.into()) } else { Ok(()) }
        });
        result.unwrap();
        assert_eq!(rounds, 2 + ALL.split_whitespace().count());
    }

    #[test]
    fn unsuitable_cgroups_are_refused_before_any_write() {
        for (dir, expected) in [
            (fixture(None, ALL, "1\n"), "is the host's root cgroup; start the container with --cgroupns=private"),
            (fixture(Some("domain threaded\n"), ALL, "1\n"), "`domain threaded`"),
            (fixture(Some("domain\n"), "cpu io memory\n", "1\n"), "lacks the controllers cpuset, pids;"),
        ] {
            let (result, writes) = evacuate(dir.path(), Vec::new());
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(writes, Vec::<String>::new());
            assert!(!dir.path().join(LEAF).exists());
        }
    }

    #[test]
    fn an_optional_controller_may_fail_a_needed_one_may_not() {
        for (refused, ok) in [("+io", true), ("+memory", false)] {
            let dir = fixture(Some("domain\n"), ALL, "");
            let result = evacuate_at(dir.path(), &mut |_, text| {
                if text == refused { Err(Errno::EINVAL.into()) } else { Ok(()) }
            });
            assert_eq!(result.is_ok(), ok, "{result:?}");
        }
    }
}
