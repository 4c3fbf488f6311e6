//! Kernel settings, as a table. Each setting is read before it is written. Limits are raised and never lowered, because
//! settings without a namespace apply to the whole host. Reports every change. Never fails a boot because of a setting
//! that the node can do without.
//!
//! Left out on purpose: `route_localnet` and `nf_conntrack_*` (kube-proxy sets them from its configuration),
//! `kernel.panic*` (kubelet sets them, as `protectKernelDefaults` is off), `rp_filter` (no route here is asymmetric).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::files::under;

/// The required value of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Exactly(u64),
    /// This value or a larger one.
    AtLeast(u64),
}

/// A kernel setting that the node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Name as `sysctl` shows it, such as `net.ipv4.ip_forward`.
    pub key: &'static str,
    pub want: Want,
    /// Whether the boot fails without it.
    pub required: bool,
    /// Whether the setting may be absent because its kernel module is not loaded.
    pub optional: bool,
}

const fn best_effort(key: &'static str, want: Want) -> Setting {
    Setting { key, want, required: false, optional: false }
}

/// The settings, in the order in which they are applied.
pub(crate) const TABLE: &[Setting] = &[
    // Without it pods reach nothing outside their own network namespace.
    Setting { key: "net.ipv4.ip_forward", want: Want::Exactly(1), required: true, optional: false },
    // Without br_netfilter kube-proxy's rules do not see packets between two pods on one bridge. A pod then cannot reach a
    // service whose endpoint is its neighbour, unless replies are masqueraded.
    Setting { key: "net.bridge.bridge-nf-call-iptables", want: Want::Exactly(1), required: false, optional: true },
    // 1 and 2 would keep eth0 from answering for the static IP, which is on lo.
    best_effort("net.ipv4.conf.all.arp_ignore", Want::Exactly(0)),
    // Prevents "too many open files": kubelet, containerd and each pod with a watcher need instances (kind's known
    // issues).
    best_effort("fs.inotify.max_user_instances", Want::AtLeast(1024)),
    best_effort("fs.inotify.max_user_watches", Want::AtLeast(524_288)),
    // kubelet would set it itself, with a warning.
    best_effort("vm.overcommit_memory", Want::Exactly(1)),
];

/// The outcome of [`apply_at`].
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub changed: Vec<Change>,
    /// Settings without the required value that the node can do without.
    pub failed: Vec<SysctlError>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub key: &'static str,
    /// Value before the change.
    pub from: String,
    /// Value after the change.
    pub to: u64,
}

/// A setting without the required value.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SysctlError {
    #[error("cannot read the kernel setting {key}; does the host's kernel have it? set {key}={value} there")]
    Read {
        key: &'static str,
        /// The required value.
        value: u64,
        #[source]
        source: io::Error,
    },
    #[error(
        "cannot set the kernel setting {key} to {value}; run the container with --privileged, or set it on the host"
    )]
    Write {
        key: &'static str,
        /// The required value.
        value: u64,
        #[source]
        source: io::Error,
    },
}

/// Returns the value to write, or `None` when the current one is good enough.
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

/// Applies [`TABLE`] below `root` (`/` except in tests). Idempotent.
///
/// # Errors
/// The first required setting that cannot be read or written.
pub(crate) fn apply_at(root: &Path) -> Result<Report, SysctlError> {
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
    fn users_can_read_which_settings_change() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../builder/README.md");
        let page = fs::read_to_string(page).unwrap();
        let section = page.split("### What a container changes on its host").nth(1).unwrap();
        for setting in TABLE {
            assert!(section.contains(&format!("`{}`", setting.key)), "{} is not in builder/README.md", setting.key);
        }
    }

    #[test]
    fn values_change_only_where_they_must() {
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
