//! dockerd: the Docker API on the same containerd, so that an image built through Docker is one that pods can use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ConfigError, write};
use crate::contract::{names, paths};
use crate::supervisor::Service;

/// Generated, because an image's user may put a `/etc/docker/daemon.json` of their own in place for other tools.
const CONFIG: &str = "/run/kubake/dockerd.json";

/// Writes the configuration below `root` (`/` in a container): what dockerd 26 takes from a file only.
///
/// # Errors
/// When the file cannot be written.
pub fn configure_at(root: &Path) -> Result<(), ConfigError> {
    // Images in containerd's store instead of one of dockerd's own: what makes them usable for pods.
    let config = serde_json::json!({ "features": { "containerd-snapshotter": true } });
    write(&root.join(CONFIG.trim_start_matches('/')), &format!("{config:#}\n"))
}

/// The daemon. It listens on its unix socket only: on TCP without TLS it sleeps 16 s before it serves anything
/// (moby, `daemon/command/daemon.go`: `loadListeners`), so `docker_proxy` serves TCP instead.
#[must_use]
pub fn service(mtu: u32) -> Service {
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
        env: vec![("GOGC".into(), "50".into())],
        stop_timeout: Duration::from_secs(3),
        // Kubernetes first: on two cores a boot is limited by the processor.
        nice: 5,
    }
}
