//! Kernel settings: a table, read before write. Numbers are raised, never lowered: what is not namespaced belongs to
//! the whole host. Never fails a boot on a setting that the node can live without, and reports every change.
//!
//! Left out on purpose: `route_localnet` and `nf_conntrack_*` (kube-proxy sets them as its configuration asks),
//! `kernel.panic*` (kubelet does, as `protectKernelDefaults` is off), `rp_filter` (no packet of ours is asymmetric).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::under;

/// What a setting must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Exactly(u64),
    /// This or more.
    AtLeast(u64),
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name, such as `net.ipv4.ip_forward`.
    pub key: &'static str,
    /// What it must be.
    pub want: Want,
    /// Whether the boot ends without it.
    pub required: bool,
    /// Whether the kernel may not know it: it belongs to a module.
    pub optional: bool,
}

const fn best_effort(key: &'static str, want: Want) -> Setting {
    Setting { key, want, required: false, optional: false }
}

/// In the order in which it is applied.
pub const TABLE: &[Setting] = &[
    // Pods reach nothing without it.
    Setting { key: "net.ipv4.ip_forward", want: Want::Exactly(1), required: true, optional: false },
    // Without br_netfilter kube-proxy's rules do not see packets between two pods of the bridge, so that a pod cannot
    // reach a service that leads to its neighbour unless replies are masqueraded.
    Setting { key: "net.bridge.bridge-nf-call-iptables", want: Want::Exactly(1), required: false, optional: true },
    // 1 and 2 would keep eth0 from answering for the static IP, which is on lo.
    best_effort("net.ipv4.conf.all.arp_ignore", Want::Exactly(0)),
    // "too many open files": every kubelet, containerd and pod with a watcher needs instances (kind's known issues).
    best_effort("fs.inotify.max_user_instances", Want::AtLeast(1024)),
    best_effort("fs.inotify.max_user_watches", Want::AtLeast(524_288)),
    // kubelet wants it and would set it itself, with a warning.
    best_effort("vm.overcommit_memory", Want::Exactly(1)),
];

/// What was done.
#[derive(Debug, Default)]
pub struct Report {
    /// What was changed.
    pub changed: Vec<Change>,
    /// What is not as it should be, but not required.
    pub failed: Vec<SysctlError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub key: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: u64,
}

/// What is wrong with one setting.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// It cannot be read.
    #[error("cannot read the kernel setting {key}; does the host's kernel have it? set {key}={value} there")]
    Read {
        key: &'static str,
        /// What it should be.
        value: u64,
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error(
        "cannot set the kernel setting {key} to {value}; run the container with --privileged, or set it on the host"
    )]
    Write {
        key: &'static str,
        /// What it should be.
        value: u64,
        #[source]
        source: io::Error,
    },
}

/// The value to write, if any.
fn change(current: &str, want: Want) -> Option<u64> {
    let current: Option<u64> = current.trim().parse().ok();
    match (want, current) {
        (Want::Exactly(value), Some(now)) if now == value => None,
        (Want::AtLeast(value), Some(now)) if now >= value => None,
        (Want::Exactly(value) | Want::AtLeast(value), _) => Some(value),
    }
}

fn path(root: &Path, key: &str) -> PathBuf {
    under(root, "/proc/sys").join(key.replace('.', "/"))
}

/// Applies the table below `root` (`/` but for tests); may be repeated.
///
/// # Errors
/// The first required setting that cannot be made.
pub fn apply_at(root: &Path) -> Result<Report, SysctlError> {
    let mut report = Report::default();
    for setting in TABLE {
        match apply(root, setting) {
            Ok(None) => {}
            Ok(Some(change)) => report.changed.push(change),
            Err(error) if setting.required => return Err(error),
            Err(error) => report.failed.push(error),
        }
    }
    Ok(report)
}

fn apply(root: &Path, setting: &Setting) -> Result<Option<Change>, SysctlError> {
    let Setting { key, want: Want::Exactly(value) | Want::AtLeast(value), .. } = *setting;
    let path = path(root, key);
    let current = match fs::read_to_string(&path) {
        Ok(current) => current,
        Err(error) if setting.optional && error.kind() == io::ErrorKind::NotFound => {
            tracing::debug!(key, "the kernel does not have this setting");
            return Ok(None);
        }
        Err(source) => return Err(SysctlError::Read { key, value, source }),
    };
    let Some(to) = change(&current, setting.want) else { return Ok(None) };
    fs::write(&path, to.to_string()).map_err(|source| SysctlError::Write { key, value, source })?;
    Ok(Some(Change { key, from: current.trim().to_owned(), to }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_changed() {
        for (current, want, expected) in [
            ("1\n", Want::Exactly(1), None),
            ("0\n", Want::Exactly(1), Some(1)),
            ("2\n", Want::Exactly(0), Some(0)),
            ("128\n", Want::AtLeast(1024), Some(1024)),
            ("8192\n", Want::AtLeast(1024), None),
            ("odd", Want::AtLeast(1024), Some(1024)),
        ] {
            assert_eq!(change(current, want), expected, "{current} {want:?}");
        }
    }

    fn root(values: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (key, value) in values {
            let path = path(root.path(), key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        }
        root
    }

    #[test]
    fn the_table_is_applied_once_and_failures_are_reported() {
        let root = root(&[
            ("net.ipv4.ip_forward", "0\n"),
            ("fs.inotify.max_user_instances", "128\n"),
            ("fs.inotify.max_user_watches", "1048576\n"),
            ("vm.overcommit_memory", "1\n"),
        ]);
        let report = apply_at(root.path()).unwrap();
        let changed: Vec<_> = report.changed.iter().map(|change| (change.key, change.to)).collect();
        assert_eq!(changed, [("net.ipv4.ip_forward", 1), ("fs.inotify.max_user_instances", 1024)]);
        assert_eq!(report.changed[1].from, "128");
        let failed: Vec<String> = report.failed.iter().map(ToString::to_string).collect();
        assert_eq!(failed.len(), 1, "an optional setting that is absent is no failure: {failed:?}");
        assert!(failed[0].contains("net.ipv4.conf.all.arp_ignore"));
        assert_eq!(apply_at(root.path()).unwrap().changed, []);
        assert_eq!(fs::read_to_string(path(root.path(), "fs.inotify.max_user_watches")).unwrap(), "1048576\n");
    }

    #[test]
    fn without_forwarding_there_is_no_node() {
        let error = apply_at(root(&[]).path()).unwrap_err();
        assert!(error.to_string().contains("net.ipv4.ip_forward"), "{error}");
    }
}
