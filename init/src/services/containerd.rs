//! containerd: the one image store and runtime, for Kubernetes and Docker alike.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::paths;

use crate::cni;
use crate::supervisor::Service;

/// Name in `/status` and of the log file.
pub(crate) const NAME: &str = "containerd";

/// The properties of the host on which the configuration depends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// Without CAP_SYS_RESOURCE a process may not lower its `oom_score_adj`, and containers that ask for it would fail.
    pub has_sys_resource: bool,
}

/// The generated configuration. It lies on a tmpfs and is written at each boot, because it depends on the host.
pub(crate) const CONFIG: &str = "/run/kubake/containerd.toml";
/// Files with runtimes and other settings of a user's, as containerd's default configuration imports them.
const IMPORTS: &str = "/etc/containerd/conf.d/*.toml";
/// One directory for each registry with settings of its own, read at each pull (`docs/hosts.md`). The configuration must
/// name it: the default lists this directory and Docker's, and the transfer service, which pulls the images of pods, reads
/// that list as one path (2.3.7: `plugins/cri/images/plugin.go`, `core/transfer/registry/registry.go`).
pub(crate) const REGISTRIES: &str = "/etc/containerd/certs.d";

/// The daemon. It gets the proxy variables because it pulls the images of pods.
#[must_use]
pub(crate) fn service(proxies: Vec<(OsString, OsString)>) -> Service {
    Service {
        name: NAME,
        program: PathBuf::from("/usr/local/bin/containerd"),
        args: vec!["--config".into(), CONFIG.into()],
        // Its shims, one for each pod, inherit the variable. Earlier garbage collection saves a fifth of their memory.
        env: std::iter::once(("GOGC".into(), "50".into())).chain(proxies).collect(),
        stop_timeout: Duration::from_secs(3),
        is_given_up: true,
        nice: 0,
    }
}

/// The text of [`CONFIG`].
#[must_use]
pub(crate) fn config(sandbox_image: &str, host: &Host) -> String {
    // No value comes from a user, so nothing needs quoting. The socket is containerd's default.
    format!(
        "version = 4
root = \"{root}\"
state = \"{state}\"
# As in containerd's default configuration: what is in these files comes on top of this one.
imports = [\"{imports}\"]
# Unused plugins would cost start-up time.
disabled_plugins = [
  \"io.containerd.snapshotter.v1.blockfile\",
  \"io.containerd.snapshotter.v1.btrfs\",
  \"io.containerd.snapshotter.v1.devmapper\",
  \"io.containerd.snapshotter.v1.erofs\",
  \"io.containerd.snapshotter.v1.zfs\",
  \"io.containerd.tracing.processor.v1.otlp\",
  \"io.containerd.internal.v1.tracing\",
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
        imports = IMPORTS,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_follows_the_host() {
        let config = config("registry.k8s.io/pause:3.10.2", &Host { has_sys_resource: false });
        assert!(config.contains("restrict_oom_score_adj = true"), "{config}");
        assert!(config.contains("config_path = \"/etc/containerd/certs.d\"\n"), "{config}");
        assert!(config.contains("imports = [\"/etc/containerd/conf.d/*.toml\"]\n"), "{config}");
        assert!(!config.contains("nri"), "NRI is on, as by default: {config}");
        assert!(config.contains("sandbox = \"registry.k8s.io/pause:3.10.2\""), "{config}");
        assert!(config.contains("bin_dirs = [\"/opt/cni/bin\"]\nconf_dir = \"/etc/cni/net.d\"\n"), "{config}");
    }
}
