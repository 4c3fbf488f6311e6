//! Judgements that apply to the machine of any engine, local or remote.

use super::finding::{FINE, Verdict};

pub(super) const GIB: u64 = 1 << 30;
/// The minimum of kubeadm is 1700 MB; pods need more.
pub(super) const MEMORY: u64 = 2 * GIB;
/// A machine with nominally 2 GB shows less, because the kernel reserves some.
pub(super) const MEMORY_TOLERANCE: u64 = GIB / 4;
/// The oldest kernel that Kubernetes supports: major, minor.
const KERNEL: (u32, u32) = (4, 19);

pub(super) fn judge_memory(bytes: u64) -> (Verdict, &'static str) {
    if bytes + MEMORY_TOLERANCE < MEMORY {
        (Verdict::Problem, "the cluster alone needs 2 GB; add memory")
    } else {
        FINE
    }
}

pub(super) fn judge_kernel(release: &str) -> (Verdict, &'static str) {
    let mut parts = release.split(|character: char| !character.is_ascii_digit()).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= KERNEL => FINE,
        (Some(Ok(_)), Some(Ok(_))) => (Verdict::Problem, "upgrade it: Kubernetes needs 4.19 or newer"),
        _ => (Verdict::Warning, "its version is unknown; Kubernetes needs 4.19 or newer"),
    }
}

pub(super) fn judge_cgroup_version(version: Option<u8>) -> (Verdict, &'static str) {
    match version {
        Some(2) => FINE,
        Some(1) => (
            Verdict::Warning,
            "works, but Kubernetes is leaving cgroup v1; boot with systemd.unified_cgroup_hierarchy=1",
        ),
        _ => (Verdict::Warning, "the version is unknown"),
    }
}

/// Formats bytes as GiB with one decimal, rounded down.
pub(super) fn gibibytes(bytes: u64) -> String {
    let tenths = bytes / (GIB / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}
