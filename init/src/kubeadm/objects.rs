//! Objects that the bake creates in the cluster beside what kubeadm creates, or instead of it.

use serde_json::{Value, json};

use crate::contract::{ClusterSettings, names, ports};

/// What of CoreDNS differs from kubeadm's: one replica, since there is one node, and a readiness probe that does not
/// make a boot wait ten seconds for its next turn. It asks the API server at the node's own address: at the service's it
/// would be refused until kube-proxy has written its rules, and then back off for seconds. Applied server-side.
#[must_use]
pub(crate) fn coredns_deployment(settings: &ClusterSettings) -> Value {
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
                    { "name": "KUBERNETES_SERVICE_HOST", "value": settings.static_ip },
                    { "name": "KUBERNETES_SERVICE_PORT", "value": ports::API.to_string() },
                ],
            }] } },
        },
    })
}

/// The default StorageClass. `kubernetes.io/host-path` is the controller manager's own provisioner.
#[must_use]
pub(crate) fn storage_class() -> Value {
    json!({
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": names::STORAGE_CLASS,
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "kubernetes.io/host-path",
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    })
}
