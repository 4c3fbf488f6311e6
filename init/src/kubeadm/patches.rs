//! Patches of the control plane's static pods, which kubeadm applies to its manifests.

use serde_json::{Value, json};

use crate::contract::paths;
use crate::pods::control_plane::{API_SERVER, CONTROL_PLANE, StaticPod};

/// Where [`patches`] lie while kubeadm runs.
pub(crate) const DIRECTORY: &str = "/etc/kubernetes/patches";

/// Patches of the static pods, as file name and content.
///
/// kubeadm's start-up probes ask after 10 s and then every 10 s; kubelet tells that a pod is ready no sooner than that,
/// so a boot would wait for the probe's clock. They are asked every second instead, for as long in all
/// (`cmd/kubeadm/app/util/staticpod/utils.go`). etcd and the API server share the directory of [`paths::ETCD_SOCKETS`].
#[must_use]
pub(crate) fn patches() -> Vec<(String, Value)> {
    CONTROL_PLANE
        .iter()
        .map(|&StaticPod { name, mounts_etcd_socket, .. }| {
            let probe = json!({ "initialDelaySeconds": 0, "periodSeconds": 1, "failureThreshold": 240 });
            let mut container = json!({ "name": name, "startupProbe": probe });
            if name == API_SERVER {
                // Less memory for a little more of its processor time: see init/performance.md.
                container["env"] = json!([{ "name": "GOGC", "value": "30" }]);
                // Answering is the start; how far it has got after that the readiness probe sees, which kubelet asks
                // only once the start-up probe was content: with the same question in both, readiness is a second late.
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
