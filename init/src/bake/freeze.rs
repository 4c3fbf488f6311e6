//! Makes a stopped build container ready to be committed: removes etcd's history and log, mounts, traces of the bake's pods
//! and everything personal.

use std::path::Path;
use std::time::Duration;

use kubake_contract::{Node, paths};

use super::inbox::remove;
use crate::command::{CommandError, Run};
use crate::files::under;
use crate::host::mountinfo;
use crate::phases::BoxError;
use crate::{authorities, cni, cri, identity};

/// Files that pods and daemons of the bake leave and a boot creates again.
const TRACES: &[&str] = &[
    "/var/lib/kubelet/pods",
    "/var/lib/kubelet/plugins",
    "/var/lib/kubelet/plugins_registry",
    "/var/lib/kubelet/pod-resources",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet/cpu_manager_state",
    "/var/lib/kubelet/memory_manager_state",
    cni::paths::CACHE,
    "/var/log/pods",
    "/var/log/containers",
    paths::LOGS,
];

const MACHINE_ID: &str = "/etc/machine-id";
/// Files that identify this container or its user.
const PERSONAL: &[&str] = &[
    "/var/lib/dbus/machine-id",
    paths::STORE_CLAIM,
    "/var/lib/docker/engine-id",
    "/root/.docker/config.json",
    "/var/lib/kubelet/config.json",
    "/root/.kube",
    "/root/.netrc",
    "/root/.bash_history",
];
/// Time limit for etcd's offline tool.
const ETCDUTL_TIMEOUT: Duration = Duration::from_secs(120);

/// The cluster's running etcd, reached with the client in its own image.
pub(super) struct Etcd {
    container: cri::Container,
}

impl Etcd {
    /// Finds the running container.
    pub(super) async fn find() -> Result<Self, BoxError> {
        let container = cri::find_running("etcd").await?.ok_or("etcd is not running")?;
        Ok(Self { container })
    }

    /// Runs `etcdctl` and returns its output.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, CommandError> {
        let pki = format!("{}/etcd", paths::PKI);
        let command = [
            "etcdctl".to_owned(),
            "--endpoints=https://127.0.0.1:2379".to_owned(),
            format!("--cacert={pki}/ca.crt"),
            format!("--cert={pki}/server.crt"),
            format!("--key={pki}/server.key"),
        ];
        let command = command.into_iter().chain(arguments.iter().map(|&argument| argument.to_owned()));
        cri::exec(&self.container, command, Duration::from_secs(60)).await
    }

    /// Removes every old revision.
    pub(super) async fn compact(&self) -> Result<(), BoxError> {
        let status = self.run(&["endpoint", "status", "--write-out=json"]).await?;
        let revision = revision(&status).ok_or_else(|| format!("etcd does not report its revision: {status}"))?;
        self.run(&["compaction", "--physical", &revision.to_string()]).await?;
        Ok(())
    }
}

fn revision(status: &str) -> Option<u64> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    status.get(0)?.get("Status")?.get("header")?.get("revision")?.as_u64()
}

/// Rewrites etcd's data directory. Restoring its own database drops the long write-ahead log; defragmenting drops free
/// pages, which still hold deleted data.
pub(super) async fn shrink_etcd(node: &Node) -> Result<(), BoxError> {
    let data = Path::new(paths::ETCD);
    let fresh = data.with_extension("fresh");
    remove(&fresh)?;
    let peer = format!("https://{}:2380", node.addresses.ipv4);
    etcdutl()
        .args(["snapshot", "restore"])
        .arg(data.join("member/snap/db"))
        // The database file of a stopped member carries no checksum, unlike a snapshot taken over the network.
        .arg("--skip-hash-check")
        .arg("--data-dir")
        .arg(&fresh)
        .args(["--name", node.name.as_str()])
        .arg("--initial-cluster")
        .arg(format!("{}={peer}", node.name))
        .arg("--initial-advertise-peer-urls")
        .arg(&peer)
        .timeout(ETCDUTL_TIMEOUT)
        .capture()
        .await?;
    etcdutl().arg("defrag").arg("--data-dir").arg(&fresh).timeout(ETCDUTL_TIMEOUT).capture().await?;
    trim_logs(&fresh.join("member/wal"))?;
    remove(data)?;
    std::fs::rename(&fresh, data).map_err(|error| format!("cannot move {} in place: {error}", fresh.display()))?;
    Ok(())
}

fn etcdutl() -> Run {
    Run::new("/usr/local/bin/etcdutl")
}

/// Truncates the zeros that etcd preallocates behind its write-ahead log: 64 MB (`server/storage/wal`, `SegmentSizeBytes`),
/// which every container would copy out of the image at the first write. etcd accepts a log that ends early, and
/// preallocates again with its next segment.
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

/// Removes what would give all containers of the image the same identity, credentials that hooks used, and the CAs that
/// only the bake trusts. Works below `root`, which is `/` except in tests.
pub(super) fn remove_identity_at(root: &Path) -> Result<(), BoxError> {
    identity::remove_at(root)?;
    for path in PERSONAL {
        remove(&under(root, path))?;
    }
    authorities::apply_at(root, &[])?;
    // Empty instead of absent: to machine-id(5) that is a machine before its first boot.
    std::fs::write(under(root, MACHINE_ID), "").map_err(|error| format!("cannot empty {MACHINE_ID}: {error}"))?;
    Ok(())
}

/// Unmounts what pods and containerd left mounted, and removes their traces.
pub(super) fn remove_traces() -> Result<(), BoxError> {
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
    fn only_the_zeros_behind_a_log_are_truncated() {
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
    fn the_bakes_cas_and_credentials_are_removed() {
        let root = tempfile::tempdir().unwrap();
        let bundle = under(root.path(), "/etc/ssl/certs/ca-certificates.crt");
        let (debians, extra) = (
            crate::identity::certificates::tests::pair("debian.example").0,
            crate::identity::certificates::tests::pair("extra.example").0,
        );
        crate::configuration::write(&bundle, &debians).unwrap();
        for path in PERSONAL.iter().chain([&MACHINE_ID]) {
            crate::configuration::write(&under(root.path(), path), "secret").unwrap();
        }
        authorities::apply_at(root.path(), std::slice::from_ref(&extra)).unwrap();
        assert!(std::fs::read_to_string(&bundle).unwrap().contains(&extra), "the CA was never trusted");
        remove_identity_at(root.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&bundle).unwrap(), debians);
        let local = under(root.path(), "/usr/local/share/ca-certificates");
        assert_eq!(std::fs::read_dir(local).unwrap().count(), 0);
        assert!(PERSONAL.iter().all(|path| !under(root.path(), path).exists()));
        assert_eq!(std::fs::read_to_string(under(root.path(), MACHINE_ID)).unwrap(), "");
    }

    #[test]
    fn the_revision_is_parsed_from_etcdctls_output() {
        let status = r#"[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":1,"revision":712},"version":"3.6.8"}}]"#;
        assert_eq!(revision(status), Some(712));
        assert_eq!(revision("[]"), None);
        assert_eq!(revision("connection refused"), None);
    }
}
