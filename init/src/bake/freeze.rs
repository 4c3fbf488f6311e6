//! What makes a stopped container fit to be committed: etcd without history and without a long log,
//! nothing mounted, no traces of the bake's own pods.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::remove;
use crate::command::Run;
use crate::contract::{ClusterSettings, names, paths};
use crate::host::mountinfo;
use crate::phases::BoxError;
use crate::stage::Stage;
use crate::stop::crictl;

/// Left by pods and daemons of the bake, made anew at boot.
const TRACES: &[&str] = &[
    "/var/lib/kubelet/pods",
    "/var/lib/kubelet/plugins",
    "/var/lib/kubelet/plugins_registry",
    "/var/lib/kubelet/pod-resources",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet/cpu_manager_state",
    "/var/lib/kubelet/memory_manager_state",
    "/var/lib/cni",
    "/var/log/pods",
    "/var/log/containers",
    paths::LOGS,
];

#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(default)]
    containers: Vec<Id>,
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

/// Drops every old revision from etcd, with the client that its own image carries.
pub(super) async fn compact_etcd(stage: &Stage) -> Result<(), BoxError> {
    let listing = crictl().args(["ps", "--name", "^etcd$", "--output", "json"]).capture().await?;
    let listing: Listing = serde_json::from_str(&listing)?;
    let etcd = listing.containers.first().ok_or("etcd is not running")?;
    let pki = format!("{}/etcd", paths::PKI);
    let etcdctl = |arguments: &[&str]| {
        crictl()
            .args(["exec", etcd.id.as_str(), "etcdctl", "--endpoints=https://127.0.0.1:2379"])
            .arg(format!("--cacert={pki}/ca.crt"))
            .arg(format!("--cert={pki}/server.crt"))
            .arg(format!("--key={pki}/server.key"))
            .args(arguments)
            .timeout(Duration::from_secs(60))
            .capture()
    };
    let status = etcdctl(&["endpoint", "status", "--write-out=json"]).await?;
    let revision = revision(&status).ok_or_else(|| format!("etcd does not tell its revision: {status}"))?;
    etcdctl(&["compaction", "--physical", &revision.to_string()]).await?;
    tracing::debug!("etcd of {} compacted at revision {revision}", stage.settings.static_ip);
    Ok(())
}

fn revision(status: &str) -> Option<u64> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    status.get(0)?.get("Status")?.get("header")?.get("revision")?.as_u64()
}

/// Rewrites etcd's data directory: a restore of its own database leaves neither free pages nor a long write-ahead log.
pub(super) async fn shrink_etcd(settings: &ClusterSettings) -> Result<(), BoxError> {
    let data = Path::new(paths::ETCD);
    let fresh = data.with_extension("fresh");
    remove(&fresh)?;
    let peer = format!("https://{}:2380", settings.static_ip);
    Run::new("/usr/local/bin/etcdutl")
        .args(["snapshot", "restore"])
        .arg(data.join("member/snap/db"))
        // The database file of a stopped member carries no checksum, unlike a snapshot taken over the network.
        .arg("--skip-hash-check")
        .arg("--data-dir")
        .arg(&fresh)
        .args(["--name", names::CLUSTER])
        .arg("--initial-cluster")
        .arg(format!("{}={peer}", names::CLUSTER))
        .arg("--initial-advertise-peer-urls")
        .arg(&peer)
        .timeout(Duration::from_secs(120))
        .capture()
        .await?;
    trim_logs(&fresh.join("member/wal"))?;
    remove(data)?;
    std::fs::rename(&fresh, data).map_err(|error| format!("cannot move {} in place: {error}", fresh.display()))?;
    Ok(())
}

/// Cuts the zeros off that etcd keeps ready behind its write-ahead log: 64 MB (`server/storage/wal`, `SegmentSizeBytes`),
/// which every container would copy out of the image at the first write. etcd reads a log that ends early as one that
/// ends there, and makes room anew with its next segment.
fn trim_logs(directory: &Path) -> Result<(), BoxError> {
    let failed = |path: &Path, error: std::io::Error| format!("cannot trim {}: {error}", path.display());
    for entry in std::fs::read_dir(directory).map_err(|error| failed(directory, error))? {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        if path.extension().is_some_and(|extension| extension == "wal") {
            trim(&path).map_err(|error| failed(&path, error))?;
        }
    }
    Ok(())
}

fn trim(path: &Path) -> std::io::Result<()> {
    let content = std::fs::read(path)?;
    let used = content.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    // Records are padded to eight bytes with zeros, which belong to them.
    std::fs::OpenOptions::new().write(true).open(path)?.set_len(used.next_multiple_of(8) as u64)
}

/// Unmounts what pods and containerd left mounted and removes their traces.
pub(super) fn leave_nothing_behind() -> Result<(), BoxError> {
    for directory in ["/var/lib/kubelet", paths::CONTAINERD_STATE, "/run/netns", "/var/run/netns"] {
        mountinfo::unmount_below(Path::new(directory))?;
    }
    for path in TRACES {
        remove(Path::new(path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_zeros_behind_a_log_go() {
        let directory = tempfile::tempdir().unwrap();
        let (log, other) = (directory.path().join("0.wal"), directory.path().join("0.tmp"));
        let mut content = vec![0; 1 << 16];
        content[100] = 7;
        for path in [&log, &other] {
            std::fs::write(path, &content).unwrap();
        }
        trim_logs(directory.path()).unwrap();
        assert_eq!(std::fs::read(log).unwrap(), content[..104]);
        assert_eq!(std::fs::read(other).unwrap(), content);
    }

    #[test]
    fn the_revision_is_found_in_what_etcdctl_says() {
        let status = r#"[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":1,"revision":712},"version":"3.6.8"}}]"#;
        assert_eq!(revision(status), Some(712));
        assert_eq!(revision("[]"), None);
        assert_eq!(revision("connection refused"), None);
    }
}
