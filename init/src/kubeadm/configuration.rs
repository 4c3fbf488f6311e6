//! kubeadm's configuration, made from the settings. Pure; running kubeadm is `bake`'s.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::patches;
use crate::contract::{CERT_LIFETIME, ClusterSettings, names, paths, ports};
use crate::services::kubelet;

/// Names and addresses that every API server certificate holds: however a CI system calls the container
/// (GitLab's service alias is often `docker` or `kubernetes`), the served kubeconfig verifies.
const CERT_SANS: &[&str] = &["localhost", "127.0.0.1", "::1", "docker", "kind", "kube", "k8s", "kubake"];

/// Names and addresses in every API server certificate, beyond those that Kubernetes itself wants.
#[must_use]
pub(crate) fn cert_sans(settings: &ClusterSettings) -> BTreeSet<String> {
    CERT_SANS.iter().map(|&name| name.to_owned()).chain(settings.cert_sans.iter().cloned()).collect()
}

/// Everything `kubeadm init` needs, as one YAML stream
/// (kubeadm.k8s.io/v1beta4, kubelet.config.k8s.io/v1beta1, kubeproxy.config.k8s.io/v1alpha1).
///
/// # Errors
/// Never for settings without problems; YAML itself is the only thing that could fail.
pub(crate) fn documents(settings: &ClusterSettings) -> Result<String, serde_yaml::Error> {
    let documents = [init(settings), cluster(settings), kubelet_configuration(settings), kube_proxy()];
    let mut stream = String::new();
    for document in &documents {
        stream.push_str("---\n");
        stream.push_str(&serde_yaml::to_string(document)?);
    }
    Ok(stream)
}

fn init(settings: &ClusterSettings) -> Value {
    json!({
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "patches": { "directory": patches::DIRECTORY },
        "localAPIEndpoint": { "advertiseAddress": settings.static_ip, "bindPort": ports::API },
        "nodeRegistration": {
            "name": names::CLUSTER,
            "criSocket": format!("unix://{}", paths::CONTAINERD_SOCKET),
            // Every image is in the store already; a pull could only fail or surprise.
            "imagePullPolicy": "Never",
            // The one node runs workloads: no control-plane taint.
            "taints": [],
            // By name even where the bake's host name makes that needless to kubeadm: at boot the container is called
            // whatever its starter called it, and kubelet would look for a node of that name.
            "kubeletExtraArgs": [
                { "name": "node-ip", "value": settings.static_ip },
                { "name": "hostname-override", "value": names::CLUSTER },
            ],
        },
    })
}

fn cluster(settings: &ClusterSettings) -> Value {
    // A stale lease in the baked etcd would cost 15 s at each boot, and there is nobody to elect.
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
                // kubelet's certificate is one of the cluster's CA (`identity`), so it can be asked for.
                { "name": "kubelet-certificate-authority", "value": format!("{}/ca.crt", paths::PKI) },
                { "name": "etcd-servers", "value": etcd_socket },
                // With any of these set, the client speaks TLS on the socket, too (etcd's `client/v3/internal/endpoint`).
                { "name": "etcd-cafile", "value": "" },
                { "name": "etcd-certfile", "value": "" },
                { "name": "etcd-keyfile", "value": "" },
            ],
        },
        "controllerManager": {
            "extraArgs": [
                no_election,
                // A certificate that a workload asks for while an image is baked is used for as long as the image is:
                // it lasts as long as the CAs, and not a year.
                { "name": "cluster-signing-duration", "value": format!("{}h", CERT_LIFETIME.as_secs() / 3600) },
                // Provisions the default StorageClass without a pod of its own (pkg/volume/hostpath).
                { "name": "enable-hostpath-provisioner", "value": "true" },
            ],
            "extraVolumes": [{
                "name": "volumes",
                "hostPath": paths::VOLUMES,
                "mountPath": paths::HOSTPATH_PROVISIONER,
                "pathType": "DirectoryOrCreate",
            }],
        },
        "scheduler": { "extraArgs": [no_election] },
        "etcd": { "local": {
            "dataDir": paths::ETCD,
            "extraArgs": [
                { "name": "unsafe-no-fsync", "value": (!settings.etcd_sync).to_string() },
                // A member that is alone still waits for a leader before it stands for election: one to ten heartbeats
                // (raft's random timeout less what a single member skips), half a second of every boot by default.
                { "name": "heartbeat-interval", "value": "20" },
                { "name": "election-timeout", "value": "100" },
                // The API server opens some hundred connections to etcd; on a socket that only the two of them see,
                // TLS would cost both a good part of their start. Everybody else comes by TLS, as with any kubeadm.
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
        // Made with the container's identity, not by kubelet, which would sign them itself.
        "tlsCertFile": kubelet::SERVING_CERTIFICATE,
        "tlsPrivateKeyFile": kubelet::SERVING_KEY,
        "clusterDNS": [settings.dns_service_ip()],
        "resolvConf": paths::POD_RESOLV_CONF,
        // The predecessor's users lost pods to DiskPressure on full CI disks; the disk is not ours to guard.
        "evictionHard": { "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%", "imagefs.inodesFree": "0%" },
        "imageGCHighThresholdPercent": 100,
        "crashLoopBackOff": { "maxContainerRestartPeriod": "1s" },
        "serializeImagePulls": false,
        // What kubelet could not do at the first try (a mirror pod before the node exists) it tries again at this pace.
        "syncFrequency": "10s",
    });
    if settings.minor_release() < 35 {
        // `crashLoopBackOff` above is refused without it; on by default since 1.35 (`pkg/features/kube_features.go`).
        configuration["featureGates"] = json!({ "KubeletCrashLoopBackOffMax": true });
    }
    configuration
}

fn kube_proxy() -> Value {
    json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "iptables",
        // The default of a second is for clusters with thousands of services; here it delays every new endpoint.
        "iptables": { "minSyncPeriod": "100ms" },
        // Zero: leave the host's conntrack limits alone; they may be read-only here.
        "conntrack": { "maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_reach_the_documents_they_belong_to() {
        let settings = ClusterSettings {
            static_ip: "198.18.0.1".parse().unwrap(),
            cert_sans: vec!["ci.example".to_owned(), "docker".to_owned()],
            ..ClusterSettings::default()
        };
        let stream = documents(&settings).unwrap();
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
