//! dockerd: the Docker API on the same containerd, so that an image built through Docker is one that pods can use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::{names, paths};

use super::{ConfigError, write};
use crate::files::under;
use crate::supervisor::Service;

/// Generated, because an image's user may put a `/etc/docker/daemon.json` of their own in place for other tools.
const CONFIG: &str = "/run/kubake/dockerd.json";

/// What is special about registries; by default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Registries {
    /// URLs of mirrors of Docker's own registry.
    pub mirrors: Vec<String>,
    /// Hosts whose certificates are not verified, or which have none.
    pub insecure: Vec<String>,
}

/// Writes the configuration below `root` (`/` in a container): what dockerd 26 takes from a file only, and lists.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn configure_at(root: &Path, registries: &Registries) -> Result<(), ConfigError> {
    // Images in containerd's store instead of one of dockerd's own: what makes them usable for pods.
    let mut config = serde_json::json!({ "features": { "containerd-snapshotter": true } });
    for (key, list) in [("registry-mirrors", &registries.mirrors), ("insecure-registries", &registries.insecure)] {
        if !list.is_empty() {
            config[key] = serde_json::json!(list);
        }
    }
    write(&under(root, CONFIG), &format!("{config:#}\n"))
}

/// The daemon, with the variables about proxies that it shall have. It listens on its unix socket only: on TCP without TLS it sleeps 16 s before it serves anything
/// (moby, `daemon/command/daemon.go`: `loadListeners`), so `docker_proxy` serves TCP instead.
#[must_use]
pub(crate) fn service(mtu: u32, proxies: Vec<(OsString, OsString)>) -> Service {
    let args = [
        "--host".to_owned(),
        format!("unix://{}", paths::DOCKER_SOCKET),
        "--containerd".to_owned(),
        paths::CONTAINERD_SOCKET.to_owned(),
        "--containerd-namespace".to_owned(),
        names::CONTAINERD_NAMESPACE.to_owned(),
        "--config-file".to_owned(),
        CONFIG.to_owned(),
        "--exec-root".to_owned(),
        "/run/docker".to_owned(),
        "--pidfile".to_owned(),
        "/run/docker.pid".to_owned(),
        "--mtu".to_owned(),
        mtu.to_string(),
        "--default-runtime".to_owned(),
        "crun".to_owned(),
        "--add-runtime".to_owned(),
        "crun=/usr/bin/crun".to_owned(),
    ];
    Service {
        name: "dockerd",
        program: PathBuf::from("/usr/sbin/dockerd"),
        args: args.into_iter().map(Into::into).collect(),
        // It mostly waits: less memory for a little more processor time.
        env: std::iter::once(("GOGC".into(), "50".into())).chain(proxies).collect(),
        stop_timeout: Duration::from_secs(3),
        // Kubernetes first: on two cores a boot is limited by the processor.
        nice: 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_only_where_there_are_some() {
        let root = tempfile::tempdir().unwrap();
        let config = |registries: &Registries| -> serde_json::Value {
            configure_at(root.path(), registries).unwrap();
            serde_json::from_str(&std::fs::read_to_string(root.path().join("run/kubake/dockerd.json")).unwrap())
                .unwrap()
        };
        let usual = config(&Registries::default());
        assert_eq!(usual.as_object().map(serde_json::Map::len), Some(1), "{usual}");
        let (mirrors, insecure) = (vec!["https://mirror.example".to_owned()], vec!["a.example:5000".to_owned()]);
        let config = config(&Registries { mirrors, insecure });
        assert_eq!(config["registry-mirrors"][0], "https://mirror.example");
        assert_eq!(config["insecure-registries"][0], "a.example:5000");
    }
}
