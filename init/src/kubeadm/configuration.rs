//! kubeadm's configuration, made from the settings. Pure.

use std::collections::BTreeSet;

use kubake_contract::{CERT_LIFETIME, ClusterSettings, Node, names, paths, ports};
use serde_json::{Value, json};

use super::patches;
use crate::services::kubelet;

/// Names and addresses in every API server certificate, so that the served kubeconfig verifies under the names that CI
/// systems give the container (GitLab's service alias is often `docker` or `kubernetes`).
const CERT_SANS: &[&str] = &["localhost", "127.0.0.1", "::1", "docker", "kind", "kube", "k8s", "kubake"];

/// Names and addresses in every API server certificate, beyond those that kubeadm adds itself.
#[must_use]
pub(crate) fn cert_sans(settings: &ClusterSettings) -> BTreeSet<String> {
    CERT_SANS.iter().map(|&name| name.to_owned()).chain(settings.cert_sans.iter().cloned()).collect()
}

/// Returns the configuration of `kubeadm init` as one YAML stream
/// (kubeadm.k8s.io/v1beta4, kubelet.config.k8s.io/v1beta1, kubeproxy.config.k8s.io/v1alpha1).
///
/// # Errors
/// When a document cannot be written as YAML, which no valid settings cause.
pub(crate) fn documents(settings: &ClusterSettings, node: &Node) -> Result<String, serde_yaml::Error> {
    let documents = [init(node), cluster(settings), kubelet_configuration(settings), kube_proxy()];
    let mut stream = String::new();
    for document in &documents {
        stream.push_str("---\n");
        stream.push_str(&serde_yaml::to_string(document)?);
    }
    Ok(stream)
}

fn init(node: &Node) -> Value {
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "patches": { "directory": patches::DIRECTORY },
        "localAPIEndpoint": { "advertiseAddress": node.addresses.ipv4, "bindPort": ports::API },
        "nodeRegistration": {
            "name": node.name,
            "criSocket": format!("unix://{}", paths::CONTAINERD_SOCKET),
            // Every image is in the store already. A pull could fail, or replace one.
            "imagePullPolicy": "Never",
            // The only node runs workloads, so it has no control-plane taint.
            "taints": [],
            // The name is set even where it equals the bake's host name. At boot the container's host name is the user's
            // choice, and kubelet would look for a node of that name.
            "kubeletExtraArgs": [
                { "name": "node-ip", "value": node.addresses.ipv4 },
                { "name": "hostname-override", "value": node.name },
            ],
        },
    })
}

fn cluster(settings: &ClusterSettings) -> Value {
    // A stale lease in the baked etcd would delay each boot by 15 s, and there is only one candidate.
    let no_election = json!({ "name": "leader-elect", "value": "false" });
    let etcd_socket = format!("unix://{}/etcd.sock", paths::ETCD_SOCKETS);
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": settings.kubernetes_version,
        "clusterName": names::CLUSTER,
        "encryptionAlgorithm": "ECDSA-P256",
        "networking": {
            "podSubnet": settings.pod_subnet,
            "serviceSubnet": settings.service_subnet,
        },
        "apiServer": {
            "certSANs": cert_sans(settings),
            "extraArgs": [
                // The cluster's CA signs kubelet's certificate (`identity`), so the API server can verify it.
                { "name": "kubelet-certificate-authority", "value": format!("{}/ca.crt", paths::PKI) },
                { "name": "etcd-servers", "value": etcd_socket },
                // If one of these were set, the client would use TLS on the socket, too (etcd's
                // `client/v3/internal/endpoint`).
                { "name": "etcd-cafile", "value": "" },
                { "name": "etcd-certfile", "value": "" },
                { "name": "etcd-keyfile", "value": "" },
            ],
        },
        "controllerManager": {
            "extraArgs": [
                no_election,
                // A certificate that a workload requests while an image is baked is used as long as the image. So it
                // is valid as long as the CAs, and not for a year.
                { "name": "cluster-signing-duration", "value": format!("{}h", CERT_LIFETIME.as_secs() / 3600) },
            ],
        },
        "scheduler": { "extraArgs": [no_election] },
        "etcd": { "local": {
            "dataDir": paths::ETCD,
            "extraArgs": [
                { "name": "unsafe-no-fsync", "value": (!settings.etcd_sync).to_string() },
                // A single member still waits for a leader before it stands for election: one to ten heartbeats
                // (raft's random timeout minus the part that a single member skips). By default that adds half a second
                // to every boot.
                { "name": "heartbeat-interval", "value": "20" },
                { "name": "election-timeout", "value": "100" },
                // The API server opens about a hundred connections to etcd. TLS on a socket that only these two share
                // would take a good part of both programs' start time. Other clients use TLS, as in every kubeadm cluster.
                { "name": "listen-client-urls", "value": format!("{etcd_socket},https://127.0.0.1:2379") },
            ],
        } },
    })
}

fn kubelet_configuration(settings: &ClusterSettings) -> Value {
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": false,
        "failSwapOn": false,
        // Part of the container's identity. kubelet would sign its own.
        "tlsCertFile": kubelet::SERVING_CERTIFICATE,
        "tlsPrivateKeyFile": kubelet::SERVING_KEY,
        "clusterDNS": [settings.dns_service_ip()],
        "resolvConf": paths::POD_RESOLV_CONF,
        // Full disks are common in CI, and kubelet would evict pods for DiskPressure, as users of kubake's predecessor
        // found. Guarding the host's disk is not the cluster's task.
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%" },
        "imageGCHighThresholdPercent": 100,
        "crashLoopBackOff": { "maxContainerRestartPeriod": "1s" },
        "serializeImagePulls": false,
        // The interval at which kubelet retries, such as creating a mirror pod before the node exists.
        "syncFrequency": "10s",
    });
    if settings.minor_release() < 35 {
        // kubelet rejects `crashLoopBackOff` without it; on by default since 1.35 (`pkg/features/kube_features.go`).
        configuration["featureGates"] = json!({ "KubeletCrashLoopBackOffMax": true });
    }
    configuration
}

fn kube_proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        // The default of one second suits clusters with thousands of services; here it would delay every new endpoint.
        "iptables": { "minSyncPeriod": "100ms" },
        // Zero leaves the host's conntrack limits unchanged; they may be read-only in the container.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_their_documents() {
        let settings = ClusterSettings {
            static_ip: "198.18.0.1".parse().unwrap(),
            cert_sans: vec!["ci.example".to_owned(), "docker".to_owned()],
            ..ClusterSettings::default()
        };
        let stream = documents(&settings, &Node::control_plane(&settings)).unwrap();
        let documents: Vec<Value> = stream
            .split("---\n")
            .filter(|part| !part.trim().is_empty())
            .map(|part| serde_yaml::from_str(part).unwrap())
            .collect();
        assert_eq!(documents.len(), 4);
        assert_eq!(documents[0]["localAPIEndpoint"]["advertiseAddress"], "198.18.0.1");
        assert_eq!(documents[0]["nodeRegistration"]["taints"], json!([]));
        let sans = documents[1]["apiServer"]["certSANs"].as_array().unwrap();
        assert_eq!(sans.iter().filter(|name| *name == "docker").count(), 1);
        assert!(sans.contains(&json!("ci.example")));
        assert_eq!(documents[2]["clusterDNS"], json!(["10.96.0.10"]));
        let arguments = documents[1]["controllerManager"]["extraArgs"].as_array().unwrap();
        assert!(arguments.contains(&json!({ "name": "cluster-signing-duration", "value": "87600h" })));
        assert_eq!(documents[2]["featureGates"], Value::Null);
        let older = ClusterSettings { kubernetes_version: "v1.34.4".to_owned(), ..settings };
        assert_eq!(kubelet_configuration(&older)["featureGates"], json!({ "KubeletCrashLoopBackOffMax": true }));
    }
}
