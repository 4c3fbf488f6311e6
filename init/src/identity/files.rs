//! The files of an identity: certificates at kubeadm's paths (`cmd/kubeadm/app/phases/certs/certlist.go`), kubeconfigs,
//! kubelet's certificates and Docker's. Pure: returns content and writes no file.

use std::collections::BTreeSet;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::{ClusterSettings, Node, names, paths, ports};
use serde_json::{Value, json};

use super::certificates::{Authority, CertificateError, Leaf, Pair, Usage, Validity, signing_key};
use crate::kubeadm;
use crate::services::kubelet;

/// The group of administrators, which kubeadm binds to `cluster-admin`. Unlike with `system:masters`, the binding can be
/// removed.
const ADMINS: &str = "kubeadm:cluster-admins";
/// The user in the certificate of [`paths::ADMIN_KUBECONFIG`], as kubeadm names it.
const ADMIN: &str = "kubernetes-admin";

/// A file of an identity.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Absolute path in the container.
    pub(super) path: String,
    pub(super) content: String,
    /// Whether only root may read the file.
    pub(super) is_secret: bool,
}

impl std::fmt::Debug for File {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The four CAs of a container. Each has its own key, so that a certificate of one CA is not accepted for another's purpose.
pub(super) struct Authorities {
    pub(super) cluster: Authority,
    pub(super) front_proxy: Authority,
    pub(super) etcd: Authority,
    pub(super) docker: Authority,
}

/// Paths of the CAs' certificates and keys.
pub(super) const CLUSTER_CA: (&str, &str) = ("/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key");
/// Paths of the API server's certificate and key.
pub(super) const API_SERVER: (&str, &str) = ("/etc/kubernetes/pki/apiserver.crt", "/etc/kubernetes/pki/apiserver.key");
pub(super) const FRONT_PROXY_CA: (&str, &str) =
    ("/etc/kubernetes/pki/front-proxy-ca.crt", "/etc/kubernetes/pki/front-proxy-ca.key");
pub(super) const ETCD_CA: (&str, &str) = ("/etc/kubernetes/pki/etcd/ca.crt", "/etc/kubernetes/pki/etcd/ca.key");
pub(super) const DOCKER_CA: (&str, &str) = ("/etc/kubake/docker/ca.pem", "/etc/kubake/docker/ca-key.pem");

impl Authorities {
    /// Generates the CAs; `cluster` replaces the cluster's CA if the user provides one.
    pub(super) fn make(cluster: Option<Pair>, validity: Validity) -> Result<Self, CertificateError> {
        Ok(Self {
            cluster: match cluster {
                Some(pair) => Authority::load("kubernetes", pair)?,
                None => Authority::make("kubernetes", validity)?,
            },
            front_proxy: Authority::make("front-proxy-ca", validity)?,
            etcd: Authority::make("etcd-ca", validity)?,
            docker: Authority::make("kubake-docker-ca", validity)?,
        })
    }

    /// Loads the CAs with `read`, which returns a file's content.
    pub(super) fn load<E: From<CertificateError>>(read: impl Fn(&str) -> Result<String, E>) -> Result<Self, E> {
        let load = |name, (certificate, key): (&str, &str)| -> Result<Authority, E> {
            Ok(Authority::load(name, Pair { certificate: read(certificate)?, key: read(key)? })?)
        };
        Ok(Self {
            cluster: load("kubernetes", CLUSTER_CA)?,
            front_proxy: load("front-proxy-ca", FRONT_PROXY_CA)?,
            etcd: load("etcd-ca", ETCD_CA)?,
            docker: load("kubake-docker-ca", DOCKER_CA)?,
        })
    }

    /// Returns the files that never change while the container exists: the CAs' own and the key that signs tokens.
    pub(super) fn files(&self) -> Result<Vec<File>, CertificateError> {
        let mut files = Vec::new();
        for (authority, (certificate, key)) in [
            (&self.cluster, CLUSTER_CA),
            (&self.front_proxy, FRONT_PROXY_CA),
            (&self.etcd, ETCD_CA),
            (&self.docker, DOCKER_CA),
        ] {
            files.push(public(certificate, &authority.pair.certificate));
            files.push(secret(key, &authority.pair.key));
        }
        let (private_key, public_key) = signing_key()?;
        files.push(secret("/etc/kubernetes/pki/sa.key", &private_key));
        files.push(public("/etc/kubernetes/pki/sa.pub", &public_key));
        Ok(files)
    }

    /// Issues all certificates and returns their files. `served` are the names and addresses of the container, `asked` more
    /// names of the API server.
    pub(super) fn leaves(
        &self,
        node: &Node,
        served: &BTreeSet<String>,
        asked: &BTreeSet<String>,
        validity: Validity,
    ) -> Result<Vec<File>, CertificateError> {
        let none = BTreeSet::new();
        let node_name = node.name.as_str();
        let mut local = names_of([node_name], [IpAddr::V4(node.addresses.ipv4)]);
        local.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        let node_user = node.name.kubelet_user();

        let mut files = Vec::new();
        let mut issue = |authority: &Authority, name: &str, common_name, organization, names, usage| {
            let pair = authority.issue(&Leaf { common_name, organization, names, usage }, validity)?;
            let path = format!("{}/{name}", paths::PKI);
            files.push(public(&format!("{path}.crt"), &pair.certificate));
            files.push(secret(&format!("{path}.key"), &pair.key));
            Ok::<_, CertificateError>(())
        };
        let (cluster, etcd) = (&self.cluster, &self.etcd);
        let client = "kube-apiserver-kubelet-client";
        issue(cluster, "apiserver-kubelet-client", client, Some(ADMINS), &none, Usage::Client)?;
        issue(&self.front_proxy, "front-proxy-client", "front-proxy-client", None, &none, Usage::Client)?;
        issue(etcd, "etcd/server", node_name, None, &local, Usage::Both)?;
        issue(etcd, "etcd/peer", node_name, None, &local, Usage::Both)?;
        issue(etcd, "etcd/healthcheck-client", "kube-etcd-healthcheck-client", None, &none, Usage::Client)?;
        issue(etcd, "apiserver-etcd-client", "kube-apiserver-etcd-client", None, &none, Usage::Client)?;

        let pair = cluster.issue(&api_server(&served.union(asked).cloned().collect()), validity)?;
        files.push(public(API_SERVER.0, &pair.certificate));
        files.push(secret(API_SERVER.1, &pair.key));

        let client = |common_name, organization| {
            let leaf = Leaf { common_name, organization, names: &none, usage: Usage::Client };
            self.cluster.issue(&leaf, validity)
        };
        for (path, user, organization) in [
            (paths::ADMIN_KUBECONFIG, ADMIN, Some(ADMINS)),
            ("/etc/kubernetes/controller-manager.conf", "system:kube-controller-manager", None),
            ("/etc/kubernetes/scheduler.conf", "system:kube-scheduler", None),
        ] {
            let pair = client(user, organization)?;
            let user_data = json!({
                "client-certificate-data": STANDARD.encode(pair.certificate),
                "client-key-data": STANDARD.encode(pair.key),
            });
            files.push(secret(path, &self.kubeconfig(node, user, &user_data)));
        }

        // kubelet renews its certificate itself. Its store needs a link to the current file (client-go:
        // `certificate_store.go`).
        let pair = client(&node_user, Some("system:nodes"))?;
        files.push(secret(kubelet::CLIENT_CERTIFICATE, &(pair.certificate + &pair.key)));
        let user_data = json!({ "client-certificate": kubelet::CLIENT_LINK, "client-key": kubelet::CLIENT_LINK });
        files.push(secret("/etc/kubernetes/kubelet.conf", &self.kubeconfig(node, &node_user, &user_data)));
        let leaf =
            Leaf { common_name: &node_user, organization: Some("system:nodes"), names: &local, usage: Usage::Server };
        let pair = self.cluster.issue(&leaf, validity)?;
        files.push(public(kubelet::SERVING_CERTIFICATE, &pair.certificate));
        files.push(secret(kubelet::SERVING_KEY, &pair.key));

        let docker = |name: &str| format!("{}/{name}", paths::DOCKER_PKI);
        let leaf = Leaf { common_name: "dockerd", organization: None, names: served, usage: Usage::Server };
        let pair = self.docker.issue(&leaf, validity)?;
        files.push(public(&docker("server-cert.pem"), &pair.certificate));
        files.push(secret(&docker("server-key.pem"), &pair.key));
        let leaf = Leaf { common_name: "docker client", organization: None, names: &none, usage: Usage::Client };
        let pair = self.docker.issue(&leaf, validity)?;
        files.push(public(&docker("cert.pem"), &pair.certificate));
        files.push(secret(&docker("key.pem"), &pair.key));
        Ok(files)
    }

    fn kubeconfig(&self, node: &Node, user: &str, user_data: &Value) -> String {
        let cluster = names::CLUSTER;
        let context = format!("{user}@{cluster}");
        yaml(&json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": cluster, "cluster": server(node, &self.cluster.pair.certificate) }],
            "contexts": [{ "name": context, "context": { "cluster": cluster, "user": user } }],
            "current-context": context,
            "users": [{ "name": user, "user": user_data }],
        }))
    }
}

/// The content of the API server's certificate.
pub(super) fn api_server(served: &BTreeSet<String>) -> Leaf<'_> {
    Leaf { common_name: "kube-apiserver", organization: None, names: served, usage: Usage::Server }
}

/// The kubeconfig in the public ConfigMap `kube-public/cluster-info` (kubeadm's `phases/bootstraptoken/clusterinfo`).
pub(super) fn cluster_info(node: &Node, authority: &str) -> String {
    yaml(&json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "", "cluster": server(node, authority) }],
        "contexts": null,
        "current-context": "",
        "users": null,
    }))
}

fn server(node: &Node, authority: &str) -> Value {
    json!({
        "certificate-authority-data": STANDARD.encode(authority),
        "server": format!("https://{}:{}", node.addresses.ipv4, ports::API),
    })
}

/// Falls back to JSON, which is YAML too, so that this cannot fail.
fn yaml(value: &Value) -> String {
    serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string())
}

fn public(path: &str, content: &str) -> File {
    File { path: path.to_owned(), content: content.to_owned(), is_secret: false }
}

fn secret(path: &str, content: &str) -> File {
    File { path: path.to_owned(), content: content.to_owned(), is_secret: true }
}

fn names_of<const N: usize, const A: usize>(names: [&str; N], addresses: [IpAddr; A]) -> BTreeSet<String> {
    names.iter().map(|&name| name.to_owned()).chain(addresses.iter().map(IpAddr::to_string)).collect()
}

/// Names and addresses under which clients reach the API server and Docker: those of every cluster, those of the image and
/// of the user's request, and those of this container.
pub(super) fn served(
    settings: &ClusterSettings,
    node: &Node,
    requested: &[String],
    addresses: &[IpAddr],
    hostname: &str,
) -> BTreeSet<String> {
    // As in kubeadm's certificate (`cmd/kubeadm/app/util/pkiutil`: `GetAPIServerAltNames`).
    let mut served = names_of(
        [
            node.name.as_str(),
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ],
        [IpAddr::V4(node.addresses.ipv4), IpAddr::V4(settings.api_service_ip())],
    );
    served.extend(kubeadm::configuration::cert_sans(settings));
    served.extend(requested.iter().cloned());
    served.extend(addresses.iter().map(IpAddr::to_string));
    // Not every host name is allowed in a certificate.
    if kubake_contract::is_certificate_name(hostname) {
        served.insert(hostname.to_owned());
    }
    served
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::kubeconfig::Kubeconfig;

    #[test]
    fn an_identity_is_complete_and_only_root_reads_its_secrets() {
        let settings = ClusterSettings::default();
        let node = Node::control_plane(&settings);
        let validity = Validity::new(SystemTime::now(), Duration::from_secs(3600));
        let authorities = Authorities::make(None, validity).unwrap();
        let served = served(&settings, &node, &["mine.example".to_owned()], &["172.17.0.2".parse().unwrap()], "a1b2c3");
        for name in ["kubernetes", "docker", "10.96.0.1", "172.30.99.1", "172.17.0.2", "a1b2c3", "mine.example", "::1"]
        {
            assert!(served.contains(name), "{name}");
        }
        let mut files = authorities.files().unwrap();
        files.extend(authorities.leaves(&node, &served, &BTreeSet::new(), validity).unwrap());
        let paths: BTreeSet<_> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths.len(), files.len(), "no file is written twice");
        for file in &files {
            assert_eq!(
                file.is_secret,
                file.content.contains("PRIVATE KEY") || file.path.ends_with(".conf"),
                "{}",
                file.path
            );
        }
        let admin = files.iter().find(|file| file.path == paths::ADMIN_KUBECONFIG).unwrap();
        let admin = Kubeconfig::parse(&admin.content).unwrap();
        let (cluster, user) = admin.current().unwrap();
        assert_eq!(cluster.server, "https://172.30.99.1:8443");
        assert!(STANDARD.decode(&user.client_key_data).unwrap().starts_with(b"-----BEGIN EC PRIVATE KEY-----"));
        // Only CAs and the key that signs tokens, which no client gets, have the other form.
        for file in files.iter().filter(|file| file.content.contains("BEGIN PRIVATE KEY")) {
            assert!(
                file.path.contains("ca.key") || file.path.contains("ca-key") || file.path.ends_with("sa.key"),
                "{}",
                file.path
            );
        }
        assert!(
            cluster_info(&node, &authorities.cluster.pair.certificate).contains(&cluster.certificate_authority_data)
        );
    }

    #[test]
    fn invalid_host_names_stay_out_of_certificates() {
        let settings = ClusterSettings::default();
        let served = served(&settings, &Node::control_plane(&settings), &[], &[], "not a name");
        assert!(!served.contains("not a name"));
    }
}
