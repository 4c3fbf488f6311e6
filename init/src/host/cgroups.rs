//! cgroups as kubelet's `cgroupfs` driver needs them. Version 1: checks only, since Docker mounts the container's own
//! cgroup at each controller. Version 2: a root cgroup of our own without processes, and with all controllers enabled
//! for its children. Never writes to the host's root cgroup.
//!
//! Version 2 forbids processes in a cgroup whose children have controllers ("no internal processes",
//! `Documentation/admin-guide/cgroup-v2.rst`), and a container starts with all of its processes there: hence
//! [`evacuate_at`]. With `--cgroupns=host`, or in a Kubernetes pod, what we see as root is the host's: hence
//! [`enter_own_namespace`] before.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use super::mountinfo::{self, Mount, MountInfoError};
use crate::files::under;

/// Where cgroups are mounted.
pub const MOUNT_POINT: &str = "/sys/fs/cgroup";

/// The cgroup that gets the container's processes.
const LEAF: &str = "init";

/// What kubelet refuses to start without (`pkg/kubelet/cm`: `validateSystemRequirements`), and containerd's devices.
const NEEDED_V1: [&str; 6] = ["cpu", "cpuacct", "cpuset", "memory", "pids", "devices"];

/// The same for version 2, where devices are a matter of eBPF and cpuacct is part of cpu.
const NEEDED_V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// How long `docker exec` may keep the root busy: it starts its process there and moves on within milliseconds.
const LIMIT: Duration = Duration::from_secs(5);

/// Pause before another look at processes that we cannot move. The kernel tells nobody when a process leaves a cgroup.
const PAUSE: Duration = Duration::from_millis(2);

/// Version of the hierarchy that has the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller; version 2 may be there as well, without controllers (hybrid).
    V1,
    /// One hierarchy for all.
    V2,
}

/// What [`enter_own_namespace`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Nothing: version 1, or the namespace is our own already.
    NotNeeded,
    /// A new namespace, whose root is the container's cgroup.
    Entered,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file cannot be read.
    #[error("cannot read {}; run the container with --privileged", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write `{text}` to {}; run the container with --privileged", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was to be written.
        text: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cgroup is of a type that cannot have controllers.
    #[error(
        "the container's cgroup is `{kind}`, which cannot run containers; start the container without a threaded --cgroup-parent"
    )]
    Type {
        /// Content of `cgroup.type`.
        kind: String,
    },
    /// The container's cgroup does not have a controller.
    #[error("the container's cgroup lacks the controllers {}; enable them for it on the host (systemd: `Delegate=yes`), or start the container with --cgroupns=private", .0.join(", "))]
    Controllers(Vec<String>),
    /// Something keeps processes in the root.
    #[error("processes keep appearing in {}, {} s long; do not run `docker exec` while the container boots", path.display(), LIMIT.as_secs())]
    Busy {
        /// The cgroup.
        path: PathBuf,
        /// The last refusal.
        #[source]
        source: io::Error,
    },
    /// The kernel's root cgroup is ours to see but not to change.
    #[error("{} is the host's root cgroup; start the container with --cgroupns=private", path.display())]
    HostRoot {
        /// Where it is mounted.
        path: PathBuf,
    },
    /// `/proc/self/cgroup` names a cgroup outside of our namespace.
    #[error(
        "the process is in the cgroup {path}, outside of its namespace; start the container with --cgroupns=private"
    )]
    Outside {
        /// As the kernel writes it.
        path: String,
    },
    /// No namespace of our own.
    #[error("cannot enter a cgroup namespace; run the container with --privileged --cgroupns=private")]
    Namespace(#[source] Errno),
    /// The hierarchy cannot be mounted.
    #[error("cannot mount cgroup2 on {}; run the container with --privileged --cgroupns=private", path.display())]
    Mount {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The table of mounts cannot be read.
    #[error("cannot tell where cgroups are mounted")]
    Mounts(#[from] MountInfoError),
}

/// The version below `root`. Only the root of a version 2 hierarchy has `cgroup.controllers`, and in a hybrid setup that
/// hierarchy is mounted elsewhere.
#[must_use]
pub fn version(root: &Path) -> Version {
    if under(root, MOUNT_POINT).join("cgroup.controllers").exists() { Version::V2 } else { Version::V1 }
}

/// The controllers of version 1 that no mounted hierarchy has.
#[must_use]
pub fn missing_v1(mounts: &[Mount]) -> Vec<&'static str> {
    let has = |controller: &str| {
        mounts
            .iter()
            .filter(|mount| mount.fs_type == "cgroup")
            .any(|mount| mount.super_options.iter().any(|option| option == controller))
    };
    NEEDED_V1.into_iter().filter(|controller| !has(controller)).collect()
}

/// Brings the cgroups below `root` (`/` but for tests) into the state that kubelet needs; may be repeated.
///
/// # Errors
/// [`CgroupError`].
pub fn apply_at(root: &Path) -> Result<(), CgroupError> {
    match version(root) {
        Version::V1 => {
            let missing = missing_v1(&mountinfo::load(&under(root, "/proc/self/mountinfo"))?);
            if missing.is_empty() {
                Ok(())
            } else {
                Err(CgroupError::Controllers(missing.into_iter().map(str::to_owned).collect()))
            }
        }
        Version::V2 => {
            let path = own_path(&read(&under(root, "/proc/self/cgroup"))?).unwrap_or_default();
            // A second boot in the same container finds itself in the leaf.
            if path != "/" && path != format!("/{LEAF}") {
                return Err(CgroupError::HostRoot { path: under(root, MOUNT_POINT) });
            }
            evacuate_at(&under(root, MOUNT_POINT), &mut write)
        }
    }
}

/// Gives the process a cgroup namespace whose root is the container's own cgroup, if it is in another one, and mounts
/// that at `/sys/fs/cgroup`. To be called before the first thread is started: only the calling thread changes its
/// namespace, and what it starts.
///
/// The root is the cgroup the process is in *now*, so it is entered first and evacuated later, by [`apply_at`]: the
/// result is what `--cgroupns=private` gives.
///
/// # Errors
/// [`CgroupError`]; nothing was changed unless it is [`CgroupError::Mount`].
pub fn enter_own_namespace() -> Result<Entered, CgroupError> {
    let root = Path::new("/");
    if version(root) == Version::V1 {
        return Ok(Entered::NotNeeded);
    }
    let path = own_path(&read(Path::new("/proc/self/cgroup"))?).unwrap_or_default();
    if !needs_namespace(&path)? {
        return Ok(Entered::NotNeeded);
    }
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(CgroupError::Namespace)?;
    let target = Path::new(MOUNT_POINT);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    // The view of the host has to go first: the kernel refuses the same file system on itself (EBUSY).
    umount2(target, MntFlags::MNT_DETACH).map_err(|source| CgroupError::Mount { path: target.to_owned(), source })?;
    mount(Some("cgroup2"), target, Some("cgroup2"), flags, None::<&str>)
        .map_err(|source| CgroupError::Mount { path: target.to_owned(), source })?;
    tracing::info!(cgroup = path, "entered a cgroup namespace of our own");
    Ok(Entered::Entered)
}

/// The version 2 line of `/proc/self/cgroup`.
fn own_path(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

fn needs_namespace(path: &str) -> Result<bool, CgroupError> {
    if path.starts_with("/..") {
        return Err(CgroupError::Outside { path: path.to_owned() });
    }
    // In the leaf of a namespace that is ours: started again in the same container.
    Ok(path != "/" && path != format!("/{LEAF}"))
}

/// Moves every process of the cgroup at `cgroup` to its child `init` and enables its controllers for its children, again
/// and again while new processes appear. `write` is [`std::fs::write`] but for tests.
fn evacuate_at(cgroup: &Path, write: &mut dyn FnMut(&Path, &str) -> io::Result<()>) -> Result<(), CgroupError> {
    let wanted = check_v2(cgroup)?;
    let leaf = cgroup.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            return Err(CgroupError::Write { path: leaf, text: "a new cgroup".to_owned(), source });
        }
        _ => {}
    }
    let deadline = Instant::now() + LIMIT;
    loop {
        let moved = move_all(cgroup, &leaf, write)?;
        match enable(cgroup, &wanted, write) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            // Whoever just appeared is moved in the next round; whom we cannot move (in another PID namespace until it
            // has joined ours, listed as 0) has to come along by itself.
            Err(CgroupError::Busy { .. }) if moved == 0 => std::thread::sleep(PAUSE),
            Err(CgroupError::Busy { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The controllers that `cgroup` can give to its children.
fn check_v2(cgroup: &Path) -> Result<Vec<String>, CgroupError> {
    let kind_path = cgroup.join("cgroup.type");
    let kind = match fs::read_to_string(&kind_path) {
        Ok(kind) => kind.trim().to_owned(),
        // The only cgroup without a type is the kernel's root.
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

/// How many processes were moved.
fn move_all(
    cgroup: &Path,
    leaf: &Path,
    write: &mut dyn FnMut(&Path, &str) -> io::Result<()>,
) -> Result<usize, CgroupError> {
    let target = leaf.join("cgroup.procs");
    let mut moved = 0;
    // 0 stands for a process that our PID namespace cannot see; written, it would mean ourselves.
    for pid in read(&cgroup.join("cgroup.procs"))?.split_whitespace().filter(|pid| *pid != "0") {
        match write(&target, pid) {
            Ok(()) => moved += 1,
            // It ended meanwhile.
            Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => {}
            Err(source) => return Err(CgroupError::Write { path: target, text: pid.to_owned(), source }),
        }
    }
    Ok(moved)
}

/// Enables what is not enabled. One write for each controller, so that one that cannot be (cpu while there are real-time
/// processes) does not cost the others; kubelet wants all that there are, but starts without the optional ones.
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

fn read(path: &Path) -> Result<String, CgroupError> {
    fs::read_to_string(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that looks like a container's root cgroup.
    fn fixture(kind: Option<&str>, controllers: &str, procs: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let files = [("cgroup.controllers", controllers), ("cgroup.procs", procs), ("cgroup.subtree_control", "")];
        for (name, text) in files.into_iter().chain(kind.map(|kind| ("cgroup.type", kind))) {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    const ALL: &str = "cpuset cpu io memory hugetlb pids\n";

    /// Behaves like the kernel, as far as the evacuation sees it: a move takes the pid out of the root, controllers are
    /// refused while a process is left there, and `late` processes appear one by one just before a controller is enabled.
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
        assert_eq!(writes, Vec::<String>::new(), "a second time finds nothing to do");
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
    fn a_process_out_of_sight_is_never_moved_and_ends_the_wait() {
        let dir = fixture(Some("domain\n"), ALL, "0\n");
        let mut rounds = 0;
        let result = evacuate_at(dir.path(), &mut |path, text| {
            assert!(path.ends_with("cgroup.subtree_control"), "{text} would be ourselves");
            rounds += 1;
            if rounds < 3 { Err(Errno::EBUSY.into()) } else { Ok(()) }
        });
        result.unwrap();
        assert_eq!(rounds, 2 + ALL.split_whitespace().count());
    }

    #[test]
    fn what_cannot_be_changed_is_refused_before_anything_is_written() {
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

    #[test]
    fn the_whole_below_a_root() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/fs")).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let proc = root.path().join("proc/self/cgroup");
        let fixture = fixture(Some("domain\n"), ALL, "1\n");
        fs::rename(fixture.keep(), root.path().join("sys/fs/cgroup")).unwrap();
        fs::write(&proc, "0::/system.slice/docker-1.scope\n").unwrap();
        let error = apply_at(root.path()).unwrap_err();
        assert!(matches!(error, CgroupError::HostRoot { .. }), "{error}");
        for path in ["0::/\n", "0::/init\n"] {
            fs::write(&proc, path).unwrap();
            apply_at(root.path()).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("sys/fs/cgroup/init/cgroup.procs")).unwrap(), "1");
    }

    #[test]
    fn whether_a_namespace_is_needed() {
        assert_eq!(own_path("9:name=systemd:/x\n0::/docker/1\n").as_deref(), Some("/docker/1"));
        assert!(!needs_namespace("/").unwrap());
        assert!(!needs_namespace("/init").unwrap());
        assert!(needs_namespace("/system.slice/docker-1.scope").unwrap());
        assert!(matches!(needs_namespace("/../other"), Err(CgroupError::Outside { .. })));
    }
}
