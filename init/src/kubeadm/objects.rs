//! Objects that the bake creates in the cluster beside what kubeadm creates, or instead of it.

use kubake_contract::{Node, names, ports};
use serde_json::{Value, json};

use crate::volumes;

/// Returns the fields of CoreDNS' Deployment that differ from kubeadm's, for a server-side apply. There is one replica, as
/// there is one node. The readiness probe runs every second instead of every ten. CoreDNS connects to the API server at
/// the node's address: the service's address refuses connections until kube-proxy has written its rules, after which
/// CoreDNS would back off for seconds.
#[must_use]
pub(crate) fn coredns_deployment(node: &Node) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "coredns", "namespace": "kube-system" },
        "spec": {
            "replicas": 1,
            "template": { "spec": { "containers": [{
                "name": "coredns",
                "readinessProbe": { "periodSeconds": 1 },
                "env": [
                    { "name": "KUBERNETES_SERVICE_HOST", "value": node.addresses.ipv4 },
                    { "name": "KUBERNETES_SERVICE_PORT", "value": ports::API.to_string() },
                ],
            }] } },
        },
    })
}

/// Returns the default StorageClass, whose volumes this program makes ([`crate::volumes`]). A volume is made when a pod
/// uses its claim, as local volumes are everywhere: the scheduler has to choose the node first.
#[must_use]
pub(crate) fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": names::STORAGE_CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": volumes::PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}
