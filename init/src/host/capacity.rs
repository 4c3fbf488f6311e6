//! How much of the host the container may use, by its own cgroup, and how much kubelet must reserve so that the node is
//! no larger than that. Reads cgroup files, `/proc/meminfo` and the list of processors. Changes nothing, and does not
//! decide whether the limit is enforced.
//!
//! kubelet reports the host's size as the node's (cadvisor reads `MemTotal` and the processors that are online), even when
//! the container has limits, so the scheduler would place more on the node than fits. kubelet subtracts what is reserved
//! for the system from what pods may use, and limits the cgroup of all pods to the rest (`enforceNodeAllocatable`, whose
//! default is `pods`).
//!
//! Only the container's own cgroup is visible. Where an engine runs inside another limited container, the outer limits
//! count only for version 1's memory, which reports them (`hierarchical_memory_limit`,
//! `Documentation/admin-guide/cgroup-v1/memory.rst`).
//!
//! The programs in the container do not learn of the limit. Go starts as many threads as the limit of its own cgroup
//! allows, and ignores parent cgroups (1.26: `runtime/cgroup_linux.go`). The control plane's pods have no limit of their
//! own, so of the container's limits they see only `--cpuset-cpus`. Go ignores memory limits altogether.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::cgroups::{self, MOUNT_POINT, Version};
use crate::files::under;

/// Names under which version 1 may mount the controller `cpu`: alone, or together with `cpuacct` where the usual links
/// are missing.
const CPU: [&str; 3] = ["cpu", "cpu,cpuacct", "cpuacct,cpu"];
const MEMORY_INFO: &str = "/proc/meminfo";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// The host's size could not be determined.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CapacityError {
    #[error("cannot read {}; run the container with --privileged, or without ENFORCE_CAPACITY", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file was read, but has no size in the expected form.
    #[error("cannot find the host's size in {}; run the container without ENFORCE_CAPACITY", path.display())]
    Unknown { path: PathBuf },
}

/// An amount of processor time and memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount {
    /// Thousandths of a processor.
    pub cpu_millis: u64,
    pub memory_kib: u64,
}

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.cpu_millis / 1000, self.cpu_millis % 1000);
        let fraction = if part == 0 { String::new() } else { format!(".{part:03}").trim_end_matches('0').to_owned() };
        write!(formatter, "{whole}{fraction} CPU and {} MiB of memory", self.memory_kib / 1024)
    }
}

/// The size of the host, and of the part that the container may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// The node's capacity as kubelet reports it.
    pub host: Amount,
    /// The container's limit; never more than `host`.
    pub limit: Amount,
}

impl Capacity {
    /// The difference, which kubelet must reserve.
    #[must_use]
    pub(crate) fn reserved(&self) -> Amount {
        Amount {
            cpu_millis: self.host.cpu_millis.saturating_sub(self.limit.cpu_millis),
            memory_kib: self.host.memory_kib.saturating_sub(self.limit.memory_kib),
        }
    }
}

/// Limits as read from the cgroup.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Limits {
    /// Limit of processor time, in thousandths of a processor.
    quota_millis: Option<u64>,
    /// Number of processors in the cpuset.
    processors: Option<u64>,
    memory_bytes: Option<u64>,
}

/// Measures below `root` (`/` except in tests). Call it after `cgroups::apply_at`.
///
/// # Errors
/// [`CapacityError`] when the host's size cannot be determined. A limit that cannot be read counts as absent.
pub(crate) fn measure_at(root: &Path) -> Result<Capacity, CapacityError> {
    let host = Amount {
        cpu_millis: 1000 * read_with(root, ONLINE, count_processors)?,
        memory_kib: read_with(root, MEMORY_INFO, total_memory)?,
    };
    let cgroup = under(root, MOUNT_POINT);
    let read = |name: &str| fs::read_to_string(cgroup.join(name)).ok();
    let limits = match cgroups::version(root) {
        Version::V1 => limits_v1(read),
        Version::V2 => limits_v2(read),
    };
    Ok(capacity(host, limits))
}

fn read_with(root: &Path, name: &str, parse: impl Fn(&str) -> Option<u64>) -> Result<u64, CapacityError> {
    let path = under(root, name);
    let text = fs::read_to_string(&path).map_err(|source| CapacityError::Read { path: path.clone(), source })?;
    parse(&text).ok_or(CapacityError::Unknown { path })
}

fn capacity(host: Amount, limits: Limits) -> Capacity {
    let smallest = |whole: u64, limits: [Option<u64>; 2]| limits.into_iter().flatten().fold(whole, u64::min);
    let processors = limits.processors.map(|count| count.saturating_mul(1000));
    let limit = Amount {
        cpu_millis: smallest(host.cpu_millis, [limits.quota_millis, processors]),
        memory_kib: smallest(host.memory_kib, [limits.memory_bytes.map(|bytes| bytes / 1024), None]),
    };
    Capacity { host, limit }
}

fn limits_v1(read: impl Fn(&str) -> Option<String>) -> Limits {
    let cpu = |name: &str| CPU.iter().find_map(|directory| read(&format!("{directory}/{name}")));
    let quota = cpu("cpu.cfs_quota_us").zip(cpu("cpu.cfs_period_us"));
    let own = read("memory/memory.limit_in_bytes").and_then(|text| number(&text));
    let inherited = read("memory/memory.stat").and_then(|text| value(&text, "hierarchical_memory_limit"));
    let cpuset = read("cpuset/cpuset.effective_cpus").or_else(|| read("cpuset/cpuset.cpus"));
    Limits {
        quota_millis: quota.and_then(|(quota, period)| millis(&quota, &period)),
        processors: cpuset.and_then(|text| count_processors(&text)),
        // "No limit" is the largest number of pages, far above any host.
        memory_bytes: [own, inherited].into_iter().flatten().min(),
    }
}

fn limits_v2(read: impl Fn(&str) -> Option<String>) -> Limits {
    let quota = read("cpu.max").unwrap_or_default();
    let quota = quota.split_once(' ');
    Limits {
        quota_millis: quota.and_then(|(quota, period)| millis(quota, period)),
        processors: read("cpuset.cpus.effective").and_then(|text| count_processors(&text)),
        memory_bytes: read("memory.max").and_then(|text| number(&text)),
    }
}

/// Parses a positive number. `max` and -1, which both mean "no limit", yield `None`.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|number| *number > 0)
}

/// Thousandths of a processor, rounded down so that the node does not promise more than it has.
fn millis(quota: &str, period: &str) -> Option<u64> {
    Some((number(quota)?.saturating_mul(1000) / number(period)?).max(1))
}

/// Counts the processors in a list such as `0-3,7`; `None` when the list is empty or malformed.
fn count_processors(list: &str) -> Option<u64> {
    let mut count = 0;
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        count += last.checked_sub(first)? + 1;
    }
    Some(count)
}

/// `MemTotal` in KiB; the kernel writes the unit as `kB` (`proc_meminfo(5)`).
fn total_memory(text: &str) -> Option<u64> {
    value(text, "MemTotal:")
}

/// Returns the number after `key` in a file whose lines hold a key and its value.
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(key)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: [(&str, &str); 2] = [
        ("proc/meminfo", "MemTotal:       16384000 kB\nMemFree:         100 kB\n"),
        ("sys/devices/system/cpu/online", "0-7\n"),
    ];

    /// Measures a machine with 8 processors and 16000 MiB whose container has these files below its cgroup's mount.
    fn measure(files: &[(&str, &str)]) -> Capacity {
        let root = tempfile::tempdir().unwrap();
        let cgroup = files.iter().map(|(name, text)| (format!("sys/fs/cgroup/{name}"), *text));
        for (name, text) in HOST.map(|(name, text)| (name.to_owned(), text)).into_iter().chain(cgroup) {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        measure_at(root.path()).unwrap()
    }

    fn amounts(capacity: Capacity) -> [(u64, u64); 2] {
        let reserved = capacity.reserved();
        let limit = capacity.limit;
        assert_eq!(reserved.cpu_millis + limit.cpu_millis, capacity.host.cpu_millis);
        assert_eq!(reserved.memory_kib + limit.memory_kib, capacity.host.memory_kib);
        [(limit.cpu_millis, limit.memory_kib), (reserved.cpu_millis, reserved.memory_kib)]
    }

    const WHOLE: [(u64, u64); 2] = [(8000, 16_384_000), (0, 0)];

    #[test]
    fn version_1_with_limits() {
        for cpu in CPU {
            let (quota, period) = (format!("{cpu}/cpu.cfs_quota_us"), format!("{cpu}/cpu.cfs_period_us"));
            let measured = measure(&[
                (&quota, "250000\n"),
                (&period, "100000\n"),
                ("memory/memory.limit_in_bytes", "4294967296\n"),
                ("cpuset/cpuset.cpus", "0-7\n"),
            ]);
            assert_eq!(amounts(measured), [(2500, 4_194_304), (5500, 12_189_696)]);
        }
    }

    #[test]
    fn version_1_without_limits_reserves_nothing() {
        let measured = measure(&[
            ("cpu/cpu.cfs_quota_us", "-1\n"),
            ("cpu/cpu.cfs_period_us", "100000\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.stat", "cache 1\nhierarchical_memory_limit 9223372036854771712\n"),
            ("cpuset/cpuset.cpus", "0-7\n"),
        ]);
        assert_eq!(amounts(measured), WHOLE);
    }

    #[test]
    fn version_1_knows_what_the_outer_container_may_use_of_memory() {
        let measured = measure(&[
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/memory.stat", "cache 1\nhierarchical_memory_limit 2147483648\n"),
        ]);
        assert_eq!(amounts(measured)[0], (8000, 2_097_152));
    }

    #[test]
    fn version_2_with_limits_of_which_one_is_a_fraction() {
        let files = [("cgroup.controllers", "cpu memory\n"), ("memory.max", "3221225472\n")];
        let with = |cpu: &'static str| measure(&[files[0], files[1], ("cpu.max", cpu)]);
        assert_eq!(amounts(with("150000 100000\n")), [(1500, 3_145_728), (6500, 13_238_272)]);
        assert_eq!(amounts(with("33333 100000\n"))[0].0, 333, "rounded down");
        assert_eq!(amounts(with("10 1000000\n"))[0].0, 1);
    }

    #[test]
    fn version_2_without_limits_reserves_nothing() {
        let files = [("cgroup.controllers", "cpu\n"), ("cpu.max", "max 100000\n"), ("memory.max", "max\n")];
        assert_eq!(amounts(measure(&files)), WHOLE);
        assert_eq!(amounts(measure(&files[..1])), WHOLE, "a kernel's root cgroup has no such files");
    }

    #[test]
    fn a_nested_cgroup_of_our_own_does_not_count() {
        // After the evacuation all processes are in `/init`; the limits are set above it.
        let measured = measure(&[
            ("cgroup.controllers", "cpu memory\n"),
            ("cpu.max", "200000 100000\n"),
            ("memory.max", "1073741824\n"),
            ("init/cpu.max", "max 100000\n"),
            ("init/memory.max", "max\n"),
        ]);
        assert_eq!(amounts(measured)[0], (2000, 1_048_576));
    }

    #[test]
    fn limits_above_the_host_reserve_nothing_and_the_smallest_one_counts() {
        let huge = [("cgroup.controllers", ""), ("cpu.max", "9900000 100000"), ("memory.max", "99999999999999")];
        assert_eq!(amounts(measure(&huge)), WHOLE);
        let both = [("cgroup.controllers", ""), ("cpu.max", "400000 100000"), ("cpuset.cpus.effective", "0,2-3\n")];
        assert_eq!(amounts(measure(&both))[0].0, 3000);
    }

    #[test]
    fn a_host_whose_size_is_unknown_is_an_error_with_a_way_out() {
        let root = tempfile::tempdir().unwrap();
        let message = measure_at(root.path()).unwrap_err().to_string();
        assert!(message.contains("cpu/online") && message.contains("without ENFORCE_CAPACITY"), "{message}");
    }

    #[test]
    fn amounts_read_well() {
        let amount = |cpu_millis| Amount { cpu_millis, memory_kib: 4 << 20 }.to_string();
        assert_eq!(amount(2000), "2 CPU and 4096 MiB of memory");
        assert_eq!(amount(1500), "1.5 CPU and 4096 MiB of memory");
        assert_eq!(amount(50), "0.05 CPU and 4096 MiB of memory");
    }
}
