//! Patches of the control plane's static pods, which kubeadm applies to its manifests.

use kubake_contract::paths;
use serde_json::{Value, json};

use crate::pods::control_plane::{API_SERVER, CONTROL_PLANE, StaticPod};

/// Directory of the [`patches`] while kubeadm runs.
pub(crate) const DIRECTORY: &str = "/etc/kubernetes/patches";

/// Returns the patches of the static pods, as file names and contents.
///
/// kubeadm's startup probes run after 10 s and then every 10 s (`cmd/kubeadm/app/util/staticpod/utils.go`). kubelet does not
/// report a pod as ready earlier, so a boot would wait for the next probe. The patched probes run every second, with the
/// same total limit. etcd and the API server share the directory [`paths::ETCD_SOCKETS`].
#[must_use]
pub(crate) fn patches() -> Vec<(String, Value)> {
    CONTROL_PLANE
        .iter()
        .map(|&StaticPod { name, mounts_etcd_socket, .. }| {
            let probe = json!({ "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 240 });
            let mut container = json!({ "name": name, "startupProbe": probe });
            if name == API_SERVER {
                // Saves memory for slightly more processor time: see init/performance.md.
                container["env"] = json!([{ "name": "GOGC", "value": "30" }]);
                // The startup probe only checks that the server answers. kubelet runs the readiness probe, which checks
                // the rest, only after the startup probe succeeded. With the same path in both, readiness would be
                // reported a second late.
                container["startupProbe"]["httpGet"] = json!({ "path": "/version" });
            }
            let mut spec = json!({});
            if mounts_etcd_socket {
                container["volumeMounts"] = json!([{ "name": "etcd-socket", "mountPath": paths::ETCD_SOCKETS }]);
                spec["volumes"] = json!([{
                    "name": "etcd-socket",
                    "hostPath": { "path": paths::ETCD_SOCKETS, "type": "DirectoryOrCreate" },
                }]);
            }
            spec["containers"] = json!([container]);
            (format!("{name}+strategic.json"), json!({ "spec": spec }))
        })
        .collect()
}
