//! containerd: the one image store and runtime, for Kubernetes and Docker alike.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::paths;

use super::{ConfigError, write};
use crate::cni;
use crate::files::under;
use crate::supervisor::Service;

/// What of the host its configuration depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Without CAP_SYS_RESOURCE a process may not lower its `oom_score_adj`, and containers that ask for it would fail.
    pub has_sys_resource: bool,
}

/// Where the generated configuration lies: on a tmpfs, made anew at each boot because it depends on the host.
const CONFIG: &str = "/run/kubake/containerd.toml";
/// Where it looks, at each pull, for what is special about a registry: one directory each (`docs/hosts.md`). It has to be
/// told: its default is a list of this and Docker's, which the transfer service, by which images of pods are pulled, takes
/// for one path (2.3.7: `plugins/cri/images/plugin.go`, `core/transfer/registry/registry.go`).
pub(crate) const REGISTRIES: &str = "/etc/containerd/certs.d";

/// Writes the configuration below `root` (`/` in a container).
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn configure_at(root: &Path, sandbox_image: &str, host: &Host) -> Result<(), ConfigError> {
    write(&under(root, CONFIG), &config(sandbox_image, host))
}

/// The daemon, with the variables about proxies that it shall have: it pulls the images of pods.
#[must_use]
pub(crate) fn service(proxies: Vec<(OsString, OsString)>) -> Service {
    Service {
        name: "containerd",
        program: PathBuf::from("/usr/local/bin/containerd"),
        args: vec!["--config".into(), CONFIG.into()],
        // Its shims, one for each pod, inherit it; garbage is collected sooner, for a fifth less memory of both.
        env: std::iter::once(("GOGC".into(), "50".into())).chain(proxies).collect(),
        stop_timeout: Duration::from_secs(3),
        nice: 0,
    }
}

fn config(sandbox_image: &str, host: &Host) -> String {
    // Paths and the image's name are ours, never a user's: nothing here needs quoting. The socket is containerd's default.
    format!(
        "version = 4
root = \"{root}\"
state = \"{state}\"
# What no container here uses costs start-up time.
disabled_plugins = [
  \"io.containerd.snapshotter.v1.blockfile\",
  \"io.containerd.snapshotter.v1.btrfs\",
  \"io.containerd.snapshotter.v1.devmapper\",
  \"io.containerd.snapshotter.v1.erofs\",
  \"io.containerd.snapshotter.v1.zfs\",
  \"io.containerd.tracing.processor.v1.otlp\",
  \"io.containerd.internal.v1.tracing\",
  \"io.containerd.nri.v1.nri\",
]
[plugins.'io.containerd.cri.v1.images']
snapshotter = \"overlayfs\"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = \"{sandbox_image}\"
[plugins.'io.containerd.cri.v1.images'.registry]
config_path = \"{registries}\"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = {restrict}
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = [\"{plugins}\"]
conf_dir = \"{cni}\"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = \"crun\"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun]
runtime_type = \"io.containerd.runc.v2\"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.crun.options]
BinaryName = \"/usr/bin/crun\"
SystemdCgroup = false
",
        root = paths::CONTAINERD_ROOT,
        state = paths::CONTAINERD_STATE,
        restrict = !host.has_sys_resource,
        plugins = cni::paths::PLUGINS,
        cni = cni::paths::CONFIGURATION,
        registries = REGISTRIES,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_follows_the_host() {
        let root = tempfile::tempdir().unwrap();
        let host = Host { has_sys_resource: false };
        configure_at(root.path(), "registry.k8s.io/pause:3.10.2", &host).unwrap();
        let config = std::fs::read_to_string(root.path().join("run/kubake/containerd.toml")).unwrap();
        assert!(config.contains("restrict_oom_score_adj = true"), "{config}");
        assert!(config.contains("config_path = \"/etc/containerd/certs.d\"\n"), "{config}");
        assert!(config.contains("sandbox = \"registry.k8s.io/pause:3.10.2\""), "{config}");
        assert!(config.contains("bin_dirs = [\"/opt/cni/bin\"]\nconf_dir = \"/run/kubake/cni\"\n"), "{config}");
    }
}
