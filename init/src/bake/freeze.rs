//! What makes a stopped container fit to be committed: etcd without history and without a long log,
//! nothing mounted, no traces of the bake's own pods.

use std::path::Path;
use std::time::Duration;

use super::inbox::remove;
use crate::command::{CommandError, Run};
use crate::files::under;
use crate::host::mountinfo;
use crate::phases::BoxError;
use crate::{authorities, cni, cri, identity};
use kubake_contract::{Node, paths};

/// Left by pods and daemons of the bake, made anew at boot.
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
/// What makes this container one of its kind, or its user.
const PERSONAL: &[&str] = &[
    "/var/lib/dbus/machine-id",
    "/var/lib/docker/engine-id",
    "/root/.docker/config.json",
    "/var/lib/kubelet/config.json",
    "/root/.kube",
    "/root/.netrc",
    "/root/.bash_history",
];
/// What etcd's offline tools may take.
const ETCDUTL_TIMEOUT: Duration = Duration::from_secs(120);

/// The cluster's running etcd, asked with the client that its own image carries.
pub(super) struct Etcd {
    container: cri::Container,
}

impl Etcd {
    /// The one that runs.
    pub(super) async fn find() -> Result<Self, BoxError> {
        let container = cri::find_running("etcd").await?.ok_or("etcd is not running")?;
        Ok(Self { container })
    }

    /// Runs `etcdctl`; answers with what it printed.
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

    /// Drops every old revision.
    pub(super) async fn compact(&self) -> Result<(), BoxError> {
        let status = self.run(&["endpoint", "status", "--write-out=json"]).await?;
        let revision = revision(&status).ok_or_else(|| format!("etcd does not tell its revision: {status}"))?;
        self.run(&["compaction", "--physical", &revision.to_string()]).await?;
        Ok(())
    }
}

fn revision(status: &str) -> Option<u64> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    status.get(0)?.get("Status")?.get("header")?.get("revision")?.as_u64()
}

/// Rewrites etcd's data directory: a restore of its own database leaves no long write-ahead log, and a defragmented one
/// no free pages, in which everything would still stand that was deleted.
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

/// Removes everything by which containers of the image would be the same one, whatever hooks logged in with, and the CAs
/// that only the bake was to trust. Below `root`, which is `/` but for tests.
pub(super) fn forget_who_we_are_at(root: &Path) -> Result<(), BoxError> {
    identity::remove_at(root)?;
    for path in PERSONAL {
        remove(&under(root, path))?;
    }
    authorities::apply_at(root, &[])?;
    // Empty and not absent: machine-id(5) takes that for a machine that was not booted yet.
    std::fs::write(under(root, MACHINE_ID), "").map_err(|error| format!("cannot empty {MACHINE_ID}: {error}"))?;
    Ok(())
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
    fn whom_the_bake_trusted_and_with_what_it_logged_in_is_forgotten() {
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
        assert!(std::fs::read_to_string(&bundle).unwrap().contains(&extra), "it was not trusted at all");
        forget_who_we_are_at(root.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&bundle).unwrap(), debians);
        let local = under(root.path(), "/usr/local/share/ca-certificates");
        assert_eq!(std::fs::read_dir(local).unwrap().count(), 0);
        assert!(PERSONAL.iter().all(|path| !under(root.path(), path).exists()));
        assert_eq!(std::fs::read_to_string(under(root.path(), MACHINE_ID)).unwrap(), "");
    }

    #[test]
    fn the_revision_is_found_in_what_etcdctl_says() {
        let status = r#"[{"Endpoint":"https://127.0.0.1:2379","Status":{"header":{"cluster_id":1,"revision":712},"version":"3.6.8"}}]"#;
        assert_eq!(revision(status), Some(712));
        assert_eq!(revision("[]"), None);
        assert_eq!(revision("connection refused"), None);
    }
}
