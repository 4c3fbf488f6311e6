//! dockerd: the Docker API on the same containerd, so that an image built through Docker is one that pods can use.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::{names, paths};

use crate::supervisor::Service;

/// Name in `/status` and of the log file.
pub(crate) const NAME: &str = "dockerd";

/// The generated configuration. Not `/etc/docker/daemon.json`, which a user may put in place for other tools.
pub(crate) const CONFIG: &str = "/run/kubake/dockerd.json";

/// Registries with settings of their own. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Registries {
    /// URLs of mirrors of Docker Hub.
    pub mirrors: Vec<String>,
    /// Hosts without TLS, or with a certificate that dockerd does not verify.
    pub insecure: Vec<String>,
}

/// The text of [`CONFIG`]: lists, and settings that dockerd 26 reads only from a file.
#[must_use]
pub(crate) fn config(registries: &Registries) -> String {
    // dockerd keeps images in containerd's store, so that pods can use them.
    let mut config = serde_json::json!({ "features": { "containerd-snapshotter": true } });
    for (key, list) in [("registry-mirrors", &registries.mirrors), ("insecure-registries", &registries.insecure)] {
        if !list.is_empty() {
            config[key] = serde_json::json!(list);
        }
    }
    format!("{config:#}\n")
}

/// The daemon. It listens on its unix socket only: with TCP and without TLS it sleeps 16 s before it serves anything
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
        name: NAME,
        program: PathBuf::from("/usr/sbin/dockerd"),
        args: args.into_iter().map(Into::into).collect(),
        // dockerd mostly waits: this trades a little processor time for less memory.
        env: std::iter::once(("GOGC".into(), "50".into())).chain(proxies).collect(),
        stop_timeout: Duration::from_secs(3),
        // On two cores the processor limits a boot, and Kubernetes goes first.
        nice: 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_only_where_there_are_some() {
        let config =
            |registries: &Registries| -> serde_json::Value { serde_json::from_str(&config(registries)).unwrap() };
        let usual = config(&Registries::default());
        assert_eq!(usual.as_object().map(serde_json::Map::len), Some(1), "{usual}");
        let (mirrors, insecure) = (vec!["https://mirror.example".to_owned()], vec!["a.example:5000".to_owned()]);
        let config = config(&Registries { mirrors, insecure });
        assert_eq!(config["registry-mirrors"][0], "https://mirror.example");
        assert_eq!(config["insecure-registries"][0], "a.example:5000");
    }
}
