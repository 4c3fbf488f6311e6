//! What `/usage` serves: what a container has used so far, in all and by program, as JSON.

use serde::{Deserialize, Serialize};

/// What was used, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Processor seconds of everything that ever ran in this life of the container, ended processes included.
    pub cpu_seconds: f64,
    /// Memory that programs hold for themselves (cgroup v1: `total_rss`, v2: `anon`), without page cache, in bytes.
    pub memory_bytes: u64,
    /// Page cache charged to the container (cgroup v1: `total_cache`, v2: `file`), in bytes; the kernel takes it back
    /// when it is short, but for what lies on a tmpfs.
    pub cache_bytes: u64,
    /// Bytes that were written to a disk or are about to be (not to a tmpfs).
    pub written_bytes: u64,
    /// Living processes by program, the one with most processor time first.
    pub programs: Vec<ProgramUsage>,
}

/// All living processes of one program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProgramUsage {
    /// Its name as it was called, such as `kube-apiserver`: several programs can be one file.
    pub name: String,
    /// How many processes of it live.
    pub processes: u32,
    /// Processor seconds, with those of children that ended and were waited for.
    pub cpu_seconds: f64,
    /// Resident anonymous memory, in bytes.
    pub memory_bytes: u64,
    /// Bytes written, as in [`Usage::written_bytes`].
    pub written_bytes: u64,
}
