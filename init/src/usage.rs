//! What this container has used since it was started: processor, memory, bytes written; in all and by program. Reads
//! cgroup files and /proc, changes nothing, and decides nothing about what is much.
//!
//! **Processor and memory** are the container's cgroup's, ended processes included. Where a file of it is missing (a
//! kernel's root cgroup, an odd set-up) the sum over the living processes stands in.
//!
//! **Bytes written** are the sum over `/proc/PID/io` on both versions of cgroups, because that counts a write when it
//! makes a page dirty (`Documentation/filesystems/proc.rst`, `write_bytes`), which is what a boot costs a disk sooner or
//! later. `io.stat` of version 2 knows only what was written back so far, and version 1 has nothing: its blkio charges
//! buffered writes to the root. Ended processes count as well: `wait_task_zombie` (`kernel/exit.c`) adds a child's
//! `ioac` to that of the parent that waits for it, PID 1 waits for every orphan, and the `io` of a process begins with
//! that sum (`do_io_accounting`, `fs/proc/base.c`). What is lost is what a parent outside of the container waited for
//! (`docker exec`), and children of those that ignore SIGCHLD.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::usage::{ProgramUsage, Usage};
use nix::unistd::{SysconfVar, sysconf};

use crate::files::under;
use crate::host::cgroups::{self, MOUNT_POINT, Version};

/// Ticks in a second of `/proc/PID/stat`, where the system does not say: `USER_HZ` of the architectures we know.
const TICKS: u64 = 100;

/// Directories of version 1 that may hold the controller `cpuacct`: alone, or together with `cpu` where the usual links
/// are missing.
const CPUACCT: [&str; 3] = ["cpuacct", "cpu,cpuacct", "cpuacct,cpu"];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    /// Processes cannot be listed.
    #[error("cannot list the processes in {}; mount /proc into the container", path.display())]
    Processes {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Reads what was used, below `root` (`/` but for tests). Takes a few milliseconds.
///
/// # Errors
/// [`UsageError`]; a file that is missing is none, nor is a process that ends meanwhile.
pub(crate) fn read_at(root: &Path) -> Result<Usage, UsageError> {
    let processes = processes_at(&under(root, "/proc"))?;
    let cgroup = cgroup_at(root);
    let cpu = cgroup.cpu.unwrap_or_else(|| processes.iter().map(|process| process.cpu).sum());
    Ok(Usage {
        cpu_seconds: cpu.as_secs_f64(),
        memory_bytes: cgroup.memory.unwrap_or_else(|| processes.iter().map(|process| process.memory).sum()),
        cache_bytes: cgroup.cache.unwrap_or_default(),
        written_bytes: at_least_zero(processes.iter().map(|process| process.written).sum()),
        programs: programs(processes),
    })
}

/// What the container's cgroup says of itself, as far as it does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Cgroup {
    cpu: Option<Duration>,
    memory: Option<u64>,
    cache: Option<u64>,
}

fn cgroup_at(root: &Path) -> Cgroup {
    let read = |name: &str| fs::read_to_string(under(root, MOUNT_POINT).join(name)).ok();
    match cgroups::version(root) {
        Version::V1 => {
            let cpu = CPUACCT.iter().find_map(|directory| read(&format!("{directory}/cpuacct.usage")));
            let memory = read("memory/memory.stat").unwrap_or_default();
            Cgroup {
                cpu: cpu.and_then(|text| text.trim().parse().ok()).map(Duration::from_nanos),
                memory: value(&memory, "total_rss"),
                cache: value(&memory, "total_cache"),
            }
        }
        Version::V2 => {
            let memory = read("memory.stat").unwrap_or_default();
            Cgroup {
                cpu: value(&read("cpu.stat").unwrap_or_default(), "usage_usec").map(Duration::from_micros),
                memory: value(&memory, "anon"),
                cache: value(&memory, "file"),
            }
        }
    }
}

/// One process, those of its children included that ended and were waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    /// None for what is no program: a zombie, a thread of the kernel.
    name: Option<String>,
    cpu: Duration,
    memory: u64,
    /// Below zero when it took back what others wrote: by removing a file that was not written back yet.
    written: i64,
}

fn processes_at(proc: &Path) -> Result<Vec<Process>, UsageError> {
    let failed = |source| UsageError::Processes { path: proc.to_owned(), source };
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|ticks| u64::try_from(ticks).ok());
    let ticks = ticks.filter(|ticks| *ticks > 0).unwrap_or(TICKS);
    let mut processes = Vec::new();
    for entry in fs::read_dir(proc).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit())) {
            // One that cannot be read has ended since.
            processes.extend(process_at(&entry.path(), ticks));
        }
    }
    Ok(processes)
}

fn process_at(directory: &Path, ticks: u64) -> Option<Process> {
    // Bytes and not text: a program may choose any name.
    let stat = fs::read(directory.join("stat")).ok()?;
    let (name, cpu_ticks) = parse_stat(&stat)?;
    let read = |name: &str| fs::read(directory.join(name)).unwrap_or_default();
    let text = |name: &str| String::from_utf8_lossy(&read(name)).into_owned();
    Some(Process {
        name: program(&read("cmdline"), &name),
        cpu: Duration::from_micros(cpu_ticks.saturating_mul(1_000_000) / ticks),
        // Always in kB (`proc(5)`).
        memory: value(&text("status"), "RssAnon:").unwrap_or_default().saturating_mul(1024),
        written: parse_io(&text("io")),
    })
}

/// The name and the ticks of `/proc/PID/stat`: user and system, its own and those of children it waited for.
fn parse_stat(stat: &[u8]) -> Option<(String, u64)> {
    // The name may hold spaces and parentheses; nothing after it does.
    let begin = stat.iter().position(|byte| *byte == b'(')? + 1;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let name = String::from_utf8_lossy(stat.get(begin..end)?).into_owned();
    let rest = String::from_utf8_lossy(stat.get(end + 1..)?).into_owned();
    // `proc(5)` counts from 1 and with the two before: utime, stime, cutime and cstime are its 14 to 17.
    let ticks: Vec<i64> = rest.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    let sum = ticks.iter().sum::<i64>();
    (ticks.len() == 4).then_some((name, u64::try_from(sum).ok()?))
}

/// What was written less what was taken back before it reached a disk.
fn parse_io(io: &str) -> i64 {
    let signed = |key: &str| value(io, key).and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or_default();
    signed("write_bytes:") - signed("cancelled_write_bytes:")
}

/// The name a program was called by. Not the one in `stat`, which is cut to 15 bytes and which threads change; only
/// where a program started itself anew through /proc is that the better one.
fn program(cmdline: &[u8], stat_name: &str) -> Option<String> {
    let called = String::from_utf8_lossy(cmdline.split(|byte| *byte == 0).next()?).into_owned();
    let name = called.rsplit('/').next().filter(|name| !name.is_empty())?;
    let is_itself = called == "/proc/self/exe";
    Some(if is_itself { stat_name } else { name }.to_owned())
}

/// The number after `key` in lines of a key and its value.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(key)).then(|| words.next()?.parse().ok())?
    })
}

fn programs(processes: Vec<Process>) -> Vec<ProgramUsage> {
    let mut by_name: BTreeMap<String, Vec<Process>> = BTreeMap::new();
    for process in processes {
        if let Some(name) = process.name.clone() {
            by_name.entry(name).or_default().push(process);
        }
    }
    let mut programs: Vec<ProgramUsage> = by_name
        .into_iter()
        .map(|(name, of)| ProgramUsage {
            name,
            processes: u32::try_from(of.len()).unwrap_or(u32::MAX),
            cpu_seconds: of.iter().map(|process| process.cpu).sum::<Duration>().as_secs_f64(),
            memory_bytes: of.iter().map(|process| process.memory).sum(),
            written_bytes: at_least_zero(of.iter().map(|process| process.written).sum()),
        })
        .collect();
    // Stable: of equal ones the first by name stays the first.
    programs.sort_by(|one, other| other.cpu_seconds.total_cmp(&one.cpu_seconds));
    programs
}

fn at_least_zero(bytes: i64) -> u64 {
    u64::try_from(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root with files in it.
    fn fixture(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    const PROCESSES: [(&str, &str); 19] = [
        ("proc/version", "Linux\n"),
        ("proc/self/stat", "not by its number"),
        // PID 1, which took back more than it wrote, and the supervisor that it started from its own file.
        ("proc/1/stat", "1 (kubake-init) S 0 1 1 0 -1 4194560 2 3 4 5 10 20 30 40 20 0 1 0 9 1 1\n"),
        ("proc/1/cmdline", "/usr/local/bin/kubake-init\0"),
        ("proc/1/io", "wchar: 9\nread_bytes: 8\nwrite_bytes: 0\ncancelled_write_bytes: 4096\n"),
        ("proc/7/stat", "7 (kubake-init) S 1 7 1 0 -1 4194560 2 3 4 5 100 0 0 0 20 0 1 0 9 1 1\n"),
        ("proc/7/cmdline", "/proc/self/exe\0supervise\0"),
        ("proc/7/status", "VmRSS:\t 99 kB\nRssAnon:\t 4 kB\nRssFile:\t 95 kB\n"),
        ("proc/7/io", "write_bytes: 8192\ncancelled_write_bytes: 0\n"),
        // One file under two names, the longer one cut.
        ("proc/20/stat", "20 (kube-controller) S 1 7 1 0 -1 4194560 2 3 4 5 1000 500 0 0 20 0 1 0 9 1 1\n"),
        ("proc/20/cmdline", "/usr/local/bin/kube-controller-manager\0--v=2\0"),
        ("proc/20/status", "RssAnon:\t 1024 kB\n"),
        ("proc/20/io", "write_bytes: 40960\ncancelled_write_bytes: 4096\n"),
        ("proc/21/stat", "21 (a) R (b (c) S 1 7 1 0 -1 4194560 2 3 4 5 1 2 3 4 20 0 1 0 9 1 1\n"),
        ("proc/21/cmdline", "etcd\0"),
        // A zombie.
        ("proc/30/stat", "30 (sh) Z 1 7 1 0 -1 4194560 2 3 4 5 50 50 0 0 20 0 1 0 9 1 1\n"),
        ("proc/30/cmdline", ""),
        ("proc/30/io", "write_bytes: 1\ncancelled_write_bytes: 0\n"),
        // Ended while it was looked at.
        ("proc/31/cmdline", "gone\0"),
    ];

    fn read(cgroup: &[(&str, &str)]) -> Usage {
        read_at(fixture(&[&PROCESSES[..], cgroup].concat()).path()).unwrap()
    }

    fn totals(usage: &Usage) -> (f64, u64, u64) {
        (usage.cpu_seconds, usage.memory_bytes, usage.cache_bytes)
    }

    #[test]
    fn programs_go_by_the_name_they_were_called_by() {
        let usage = read(&[]);
        let shown: Vec<_> = usage
            .programs
            .iter()
            .map(|of| (of.name.as_str(), of.processes, of.cpu_seconds, of.memory_bytes, of.written_bytes))
            .collect();
        assert_eq!(
            shown,
            [
                ("kube-controller-manager", 1, 15.0, 1 << 20, 36864),
                ("kubake-init", 2, 2.0, 4096, 4096),
                ("etcd", 1, 0.1, 0, 0),
            ]
        );
        // With what the zombie wrote.
        assert_eq!(usage.written_bytes, 36864 + 4096 + 1);
    }

    #[test]
    fn totals_are_the_cgroups_of_version_1() {
        let memory = ("sys/fs/cgroup/memory/memory.stat", "cache 1\nrss 2\ntotal_cache 300\ntotal_rss 400\n");
        for directory in CPUACCT {
            let path = format!("sys/fs/cgroup/{directory}/cpuacct.usage");
            assert_eq!(totals(&read(&[(&path, "2500000000\n"), memory])), (2.5, 400, 300));
        }
    }

    #[test]
    fn totals_are_the_cgroups_of_version_2() {
        let usage = read(&[
            ("sys/fs/cgroup/cgroup.controllers", "cpu io memory pids\n"),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n"),
            ("sys/fs/cgroup/memory.stat", "anon 400\nfile 300\nkernel 7\nfile_mapped 5\nanon_thp 3\n"),
        ]);
        assert_eq!(totals(&usage), (2.5, 400, 300));
    }

    #[test]
    fn what_the_cgroup_does_not_say_is_summed_up() {
        // All of it, the zombie's processor time as well.
        let summed = (15.0 + 2.0 + 0.1 + 1.0, 4096 + (1 << 20));
        let none = totals(&read(&[]));
        assert!((none.0 - summed.0).abs() < 1e-9 && (none.1, none.2) == (summed.1, 0), "{none:?}");
        let controllers = ("sys/fs/cgroup/cgroup.controllers", "");
        let broken = totals(&read(&[controllers, ("sys/fs/cgroup/cpu.stat", "usage_usec much\n")]));
        assert_eq!(broken, none);
        let memory_only = totals(&read(&[controllers, ("sys/fs/cgroup/memory.stat", "anon 400\n")]));
        assert_eq!(memory_only, (none.0, 400, 0));
    }

    #[test]
    fn broken_lines_of_processes_are_none() {
        for stat in ["", "1", "1 (a", "1 )a( S", "1 (a) S 1 2 3", "1 (a) S 0 1 1 0 -1 4 2 3 4 5 10 x 30 40 20"] {
            assert_eq!(parse_stat(stat.as_bytes()), None, "{stat}");
        }
        assert_eq!(program(b"", "a"), None);
        assert_eq!(program(b"/\0", "a"), None);
        assert_eq!(program(b"nginx: master process\0\0", "a").as_deref(), Some("nginx: master process"));
    }

    #[test]
    fn this_system_is_understood_and_no_processes_are_an_error() {
        let usage = read_at(Path::new("/")).unwrap();
        assert!(usage.memory_bytes > 0 && !usage.programs.is_empty(), "{usage:?}");
        let myself = std::env::args().next().unwrap();
        let name = myself.rsplit('/').next().unwrap();
        let found = usage.programs.iter().find(|program| program.name == name).unwrap();
        assert!(found.memory_bytes > 0 && found.processes > 0, "{found:?}");

        let error = read_at(tempfile::tempdir().unwrap().path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot list the processes in "), "{error}");
    }
}
