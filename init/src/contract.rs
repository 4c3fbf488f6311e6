//! What both sides agree on: everything that `kubake` writes at bake time or asks for from outside, and that
//! `kubake-init` reads at boot or answers. Owns names, ports, paths, environment variables, endpoint paths, the
//! settings file and the events of a bake. Does no I/O.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Ports inside the container. They are part of the contract that `bsycorp/kind` users rely on and never change;
/// what they are published as is the caller's choice.
pub mod ports {
    /// Status, readiness and kubeconfig over HTTP.
    pub const HTTP: u16 = 10080;
    /// The Kubernetes API server.
    pub const API: u16 = 8443;
    /// The Docker API, plain TCP, served by `kubake-init` and passed on to dockerd's unix socket.
    pub const DOCKER: u16 = 2375;
    /// The same with mutual TLS: only who holds the client certificate of this very container gets in.
    pub const DOCKER_TLS: u16 = 2376;
}

/// Names that users see in kubeconfigs and in `kubectl get nodes`.
pub mod names {
    /// The node, and the cluster, user and context in every kubeconfig that is served.
    pub const CLUSTER: &str = "kind";
    /// A name in the API server's certificate that never changes, so that a kubeconfig verifies whatever
    /// address it uses (`tls-server-name`).
    pub const TLS_SERVER: &str = "kubernetes";
    /// The namespace of containerd in which Kubernetes and Docker share one image store.
    pub const CONTAINERD_NAMESPACE: &str = "k8s.io";
    /// The repository under which control-plane images are built on the host, before the bake gives them the
    /// names that kubeadm expects.
    pub const BUILD_REPOSITORY: &str = "kubake";
    /// The StorageClass that every cluster has as its default.
    pub const STORAGE_CLASS: &str = "standard";
}

/// Endpoints of the HTTP server on [`ports::HTTP`].
pub mod endpoints {
    /// A short page for people: what this is and where the rest is.
    pub const INDEX: &str = "/";
    /// 200 as long as PID 1's supervisor answers at all.
    pub const HEALTHZ: &str = "/healthz";
    /// 200 when the Docker API answered in this boot; else 503 with the reason.
    pub const DOCKER_READY: &str = "/docker-ready";
    /// 200 when the cluster proved itself in this boot; else 503 with the reason.
    pub const KUBERNETES_READY: &str = "/kubernetes-ready";
    /// The kubeconfig, its server named as the caller reached us.
    pub const CONFIG: &str = "/config";
    /// The certificate of the cluster's CA, as PEM. Public.
    pub const CA_CERT: &str = "/ca.crt";
    /// The client certificate of the served kubeconfig, as PEM.
    pub const CLIENT_CERT: &str = "/client.crt";
    /// Its private key, as PEM.
    pub const CLIENT_KEY: &str = "/client.key";
    /// What a Docker client needs for port 2376, as a tar of `ca.pem`, `cert.pem` and `key.pem` (`DOCKER_CERT_PATH`).
    pub const DOCKER_CLIENT: &str = "/docker-client.tar";
    /// The version of Kubernetes, such as `v1.36.3`.
    pub const KUBERNETES_VERSION: &str = "/kubernetes-version";
    /// The node's fixed address.
    pub const STATIC_IP: &str = "/static-ip";
    /// Phases and state as JSON ([`crate::status::Status`]).
    pub const STATUS: &str = "/status";
    /// What the container has used so far, in all and by program, as JSON ([`crate::usage::Usage`]).
    pub const USAGE: &str = "/usage";
    /// Prefix of the logs: `/logs/` lists them, `/logs/NAME` is the tail of one.
    pub const LOGS: &str = "/logs/";
}

/// Environment variables that `kubake-init` reads.
pub mod env {
    /// The port under which callers outside reach the API server, when it is not 8443 (`kubake up` sets it).
    pub const API_PORT: &str = "KUBAKE_API_PORT";
    /// Overrides the baked static IP's conflict check: `off` takes the address even if a route leads to it elsewhere.
    pub const STATIC_IP_CHECK: &str = "KUBAKE_STATIC_IP_CHECK";
    /// Seconds without readiness after which a boot is given up; [`super::BOOT_TIMEOUT`] by default.
    pub const BOOT_TIMEOUT: &str = "KUBAKE_BOOT_TIMEOUT";
    /// More names and addresses for the certificates that a container makes, separated by commas, beside the baked ones.
    pub const CERT_SANS: &str = "KUBAKE_CERT_SANS";
    /// How long certificates are valid that a container makes, such as `3650d` (the default) or `24h`.
    pub const CERT_VALIDITY: &str = "KUBAKE_CERT_VALIDITY";
    /// A CA certificate to use instead of one made at first boot: PEM, or the path of a file that holds it.
    pub const CA_CERT: &str = "KUBAKE_CA_CERT";
    /// Its private key, likewise.
    pub const CA_KEY: &str = "KUBAKE_CA_KEY";
    /// A token without which credentials and logs are not served over HTTP.
    pub const TOKEN: &str = "KUBAKE_TOKEN";
    /// The path of a file that holds the token.
    pub const TOKEN_FILE: &str = "KUBAKE_TOKEN_FILE";
    /// `off`: nothing listens on the Docker port without TLS.
    pub const DOCKER_TCP: &str = "KUBAKE_DOCKER_TCP";
    /// How long a hook of the boot may take, such as `90s` or `10m`; [`super::BOOT_HOOK_TIMEOUT`] by default.
    pub const HOOK_TIMEOUT: &str = "KUBAKE_HOOK_TIMEOUT";
    /// What a failed hook of the boot means: `fail` ends the boot, `report` is said in the log and on `/status`. By default
    /// the hooks of `before-boot` fail and those of `kubernetes-ready` report.
    pub const HOOK_FAILURE: &str = "KUBAKE_HOOK_FAILURE";
    /// A registry to log in at, for pods and Docker (this and the next two are bsycorp/kind's).
    pub const REGISTRY: &str = "REGISTRY";
    /// The user there.
    pub const REGISTRY_USER: &str = "REGISTRY_USER";
    /// The password there.
    pub const REGISTRY_PASSWORD: &str = "REGISTRY_PASSWORD";
    /// The path of a file that tells of several registries.
    pub const REGISTRIES_FILE: &str = "KUBAKE_REGISTRIES_FILE";
    /// CAs that the container's programs trust beside Debian's: PEM, or the path of a file that holds it.
    pub const EXTRA_CA_CERTS: &str = "KUBAKE_EXTRA_CA_CERTS";
    /// The node is as large as the container's limits and not as its host (the name is bsycorp/kind's).
    pub const ENFORCE_CAPACITY: &str = "ENFORCE_CAPACITY";
    /// Log filter in `tracing`'s syntax, `info` by default.
    pub const LOG: &str = "KUBAKE_LOG";
    /// Those whose values are secrets: no program that `kubake-init` starts inherits them.
    pub const SECRETS: [&str; 3] = [TOKEN, CA_KEY, REGISTRY_PASSWORD];
}

/// Paths inside the container.
pub mod paths {
    /// [`super::ClusterSettings`] as YAML, written by `kubake bake` before the first start of the build container.
    pub const SETTINGS: &str = "/etc/kubake/settings.yaml";
    /// What the baked cluster runs, by name; written at the end of a bake, the measure of readiness at every boot.
    pub const INVENTORY: &str = "/etc/kubake/inventory.yaml";
    /// Where `kubake bake` puts archives that the bake imports; gone before the commit.
    pub const INBOX_IMAGES: &str = "/kubake/inbox/images";
    /// Where `kubake bake` puts the hooks `before-cluster` and `after-cluster`; gone before the commit.
    pub const INBOX_HOOKS: &str = "/kubake/inbox/hooks";
    /// [`super::BakeRequest`], written by `kubake bake`; gone before the commit.
    pub const INBOX_REQUEST: &str = "/kubake/inbox/request.yaml";
    /// Secrets for the hooks of the bake, as a map of YAML; removed as soon as `kubake-init` has read it, which is before
    /// it does anything else. Never on a tmpfs: an engine's `cp` does not reach those of a container that does not run.
    pub const INBOX_SECRETS: &str = "/kubake/inbox/secrets.yaml";
    /// Variables about proxies for a bake, in the same form and removed as soon: their values may hold passwords, and what
    /// stands in a container's own variables an image keeps (`container_config`, which a commit writes and nothing changes).
    pub const INBOX_PROXIES: &str = "/kubake/inbox/proxies.yaml";
    /// Hooks of the boot: `before-boot` and `kubernetes-ready`, each a directory of executable files or one such file.
    pub const HOOKS: &str = "/etc/kubake/hooks";
    /// A script that bash runs after the hooks of `kubernetes-ready`, as it did in `bsycorp/kind`; need not be executable.
    pub const READY_SCRIPT: &str = "/kubernetes-ready.sh";
    /// Where `kubake bake` puts manifests that the bake applies; gone before the commit.
    pub const INBOX_MANIFESTS: &str = "/kubake/inbox/hooks/manifests";
    /// The frozen image store (see `store`).
    pub const FROZEN_STORE: &str = "/kubake/store";
    /// containerd's root, an anonymous volume.
    pub const CONTAINERD_ROOT: &str = "/var/lib/containerd";
    /// containerd's state, on a tmpfs.
    pub const CONTAINERD_STATE: &str = "/run/containerd";
    /// containerd's socket.
    pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
    /// dockerd's socket.
    pub const DOCKER_SOCKET: &str = "/run/docker.sock";
    /// Data of the volumes that the default StorageClass provisions; survives a restart.
    pub const VOLUMES: &str = "/var/lib/kubake/volumes";
    /// The path under which Kubernetes' host-path provisioner creates volumes
    /// (`pkg/volume/hostpath`: `/tmp/hostpath_pv` is not configurable); [`VOLUMES`] is mounted there.
    pub const HOSTPATH_PROVISIONER: &str = "/tmp/hostpath_pv";
    /// One log file per component: `NAME.log`.
    pub const LOGS: &str = "/var/log/kubake";
    /// The directory of the socket on which etcd serves the API server; on a tmpfs, and root's alone.
    pub const ETCD_SOCKETS: &str = "/run/kubake/etcd";
    /// Our own files of this boot (notify sockets, resolv.conf for pods), on a tmpfs.
    pub const RUN: &str = "/run/kubake";
    /// The resolv.conf that pods with `dnsPolicy: Default` get: it names our forwarder on the static IP.
    pub const POD_RESOLV_CONF: &str = "/run/kubake/resolv.conf";
    /// kubeadm's kubeconfig with the `kubeadm:cluster-admins` group.
    pub const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";
    /// Where kubeadm keeps certificates and keys.
    pub const PKI: &str = "/etc/kubernetes/pki";
    /// What port 2376 is served with, and what its clients need: `ca.pem`, `server-cert.pem`, `server-key.pem`,
    /// `cert.pem`, `key.pem`. Made at first boot.
    pub const DOCKER_PKI: &str = "/etc/kubake/docker";
    /// Where `kubake up` puts the files that the container was told about, before its first start: in the container's own
    /// layer, so that they are there at every boot, and root's alone.
    pub const HANDED_ON: &str = "/etc/kubake/handed-on";
    /// Which identity this container has; made at first boot, and never part of an image.
    pub const IDENTITY: &str = "/etc/kubake/identity.yaml";
    /// Static pod manifests.
    pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
    /// etcd's data directory.
    pub const ETCD: &str = "/var/lib/etcd";
}

/// Moments at which hooks run.
pub mod moments {
    /// On the host: the build container of the cluster half is filled and has not begun.
    pub const BEFORE_SETUP: &str = "before-setup";
    /// On the host: the cluster half is done and the build container has ended; it is not committed yet.
    pub const AFTER_SETUP: &str = "after-setup";
    /// In the build container: containerd and dockerd run, kubeadm has not begun.
    pub const BEFORE_CLUSTER: &str = "before-cluster";
    /// In the build container: the cluster is ready.
    pub const AFTER_CLUSTER: &str = "after-cluster";
    /// In a booting container: it has its network and its identity, and nothing was started.
    pub const BEFORE_BOOT: &str = "before-boot";
    /// In a container that is ready for the first time in this boot.
    pub const KUBERNETES_READY: &str = "kubernetes-ready";

    /// Run by `kubake bake` on its host.
    pub const HOST: [&str; 2] = [BEFORE_SETUP, AFTER_SETUP];
    /// Run in the build container.
    pub const BAKE: [&str; 2] = [BEFORE_CLUSTER, AFTER_CLUSTER];
    /// Kept in the image and run at every boot.
    pub const BOOT: [&str; 2] = [BEFORE_BOOT, KUBERNETES_READY];
}

/// The directory beside the moments of hooks that holds manifests to be applied at the bake.
pub const MANIFESTS_DIR: &str = "manifests";

/// What the names of directories in [`paths::INBOX_MANIFESTS`] begin with that are add-ons and not the user's: a bake never
/// takes a user's file whose name begins with a dot.
pub const ADDON_PREFIX: &str = ".addon-";

/// Variables that hooks get.
pub mod hook_env {
    /// The moment, such as `before-boot`.
    pub const MOMENT: &str = "KUBAKE_HOOK";
    /// The version of Kubernetes with its leading `v`.
    pub const KUBERNETES_VERSION: &str = "KUBERNETES_VERSION";
    /// The node's fixed address.
    pub const STATIC_IP: &str = "STATIC_IP";
    /// In the container: the administrator's kubeconfig; there from `after-cluster` on.
    pub const KUBECONFIG: &str = "KUBECONFIG";
    /// In the container: dockerd's socket.
    pub const DOCKER_HOST: &str = "DOCKER_HOST";
    /// On the host: the engine's program, to be called with the container's id.
    pub const ENGINE: &str = "KUBAKE_ENGINE";
    /// All of them, and what no program works without: no secret may have these names.
    pub const RESERVED: [&str; 8] =
        [MOMENT, KUBERNETES_VERSION, STATIC_IP, KUBECONFIG, DOCKER_HOST, ENGINE, "PATH", "HOME"];
}

/// How long one hook of a bake may take, unless told otherwise.
pub const BAKE_HOOK_TIMEOUT: Duration = Duration::from_secs(1800);
/// How long one hook of a boot may take, unless [`env::HOOK_TIMEOUT`] says otherwise.
pub const BOOT_HOOK_TIMEOUT: Duration = Duration::from_secs(600);

/// What a bake is asked for beside [`ClusterSettings`]; nothing of it stays in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct BakeRequest {
    /// How many seconds one hook may take.
    pub hook_timeout_seconds: u64,
    /// Whether a hook that fails is reported, and the bake goes on.
    pub reports_failed_hooks: bool,
    /// Images that get another name after their import, from the name in their archive: what `docker save` cannot write,
    /// which is a name by digest.
    pub names: std::collections::BTreeMap<String, String>,
    /// Whether the user's images keep their packed layers beside the unpacked ones.
    pub keeps_packed_layers: bool,
    /// CAs that programs in the build container trust beside Debian's, as PEM. Left out where there are none, because a
    /// baked image that is older than this does not know it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorities: Vec<String>,
}

impl Default for BakeRequest {
    fn default() -> Self {
        Self {
            hook_timeout_seconds: BAKE_HOOK_TIMEOUT.as_secs(),
            reports_failed_hooks: false,
            names: std::collections::BTreeMap::new(),
            keeps_packed_layers: false,
            authorities: Vec::new(),
        }
    }
}

/// After how long without readiness `kubake-init` gives a boot up, unless [`env::BOOT_TIMEOUT`] says otherwise.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(900);

/// How long [`roles::HEALTHCHECK`] waits for a cluster that boots. So long, because each check costs the boot the
/// processor time of a `docker exec`, and one that waits ends in the moment in which the cluster is ready.
pub const HEALTHCHECK_WAIT: Duration = Duration::from_secs(25);
/// What [`roles::HEALTHCHECK`] may take in all: the wait and an answer that comes late. The engine's timeout is longer.
pub const HEALTHCHECK_LIMIT: Duration = Duration::from_secs(28);

/// Name of the archive in [`paths::INBOX_IMAGES`] that holds the control plane's images; it sorts before the others.
pub const CONTROL_PLANE_ARCHIVE: &str = "00-control-plane.tar";

/// What `kubake-init` does, by its first argument. Without one it boots.
pub mod roles {
    /// Bake, first half: import the archives of the inbox and freeze the image store.
    pub const BAKE_IMAGES: &str = "bake-images";
    /// Bake, second half: bring the cluster up with kubeadm, run hooks, freeze it.
    pub const BAKE_CLUSTER: &str = "bake-cluster";
    /// Bake on top of a baked image: boot its cluster, import the archives of the inbox, run hooks, freeze it again.
    pub const BAKE_CUSTOM: &str = "bake-custom";
    /// Asks the supervisor whether the cluster is ready; what the baked image's `HEALTHCHECK` runs.
    pub const HEALTHCHECK: &str = "healthcheck";
    /// Internal: the supervisor that the PID 1 stub starts.
    pub const SUPERVISE: &str = "supervise";
}

/// How `kubake-init` ends (and with it the container).
pub mod exit {
    /// Stopped in order, or the bake is finished.
    pub const OK: i32 = 0;
    /// The boot or the bake failed; the reason is the last thing on stderr.
    pub const FAILED: i32 = 1;
    /// Wrong arguments, settings or container flags (no `--privileged`): nothing was touched (`EX_USAGE`).
    pub const USAGE: i32 = 64;
}

/// Labels on everything that `kubake` creates in an engine, so that it can be found and removed again.
pub mod labels {
    /// On containers and volumes: the cluster's name.
    pub const CLUSTER: &str = "io.kubake.cluster";
    /// On build containers: the process id of the `kubake` that started them.
    pub const BUILD: &str = "io.kubake.build";
    /// On containers: `token` when one guards their credentials.
    pub const GUARD: &str = "io.kubake.guard";
    /// On containers: what `kubake up` handed on to them, as a map of JSON from what it is called to what can be told of it.
    pub const HANDED_ON: &str = "io.kubake.handed-on";
    /// On images: the version of Kubernetes.
    pub const KUBERNETES_VERSION: &str = "io.kubake.kubernetes-version";
    /// On images: `appliance`, `images` or `baked`.
    pub const STAGE: &str = "io.kubake.stage";
    /// On images: a hash of everything the image was made from, so that a repeat can be skipped.
    pub const INPUTS: &str = "io.kubake.inputs";
    /// On custom images: the id of the baked image that they were made from.
    pub const FROM: &str = "io.kubake.from";
    /// On images with a frozen store: a hash of the components they were made with.
    pub const COMPONENTS: &str = "io.kubake.components";
    /// On baked images: the names of the add-ons in it, separated by commas; absent where there are none.
    pub const ADDONS: &str = "io.kubake.addons";
    /// On baked images: the [`super::ClusterSettings`] as JSON, for `kubake up` to compare with what it is asked for.
    pub const SETTINGS: &str = "io.kubake.settings";
}

/// How long certificates are valid that a container makes, unless [`env::CERT_VALIDITY`] says otherwise: ten years. The
/// predecessor's died after one.
pub const CERT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);

/// Whether a certificate can be made for this name: a DNS name, with a wildcard or underscores (GitLab's service
/// aliases have them) or without, or an IP address.
#[must_use]
pub fn is_certificate_name(name: &str) -> bool {
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.strip_prefix("*.").unwrap_or(name).split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        });
    is_name || name.parse::<std::net::IpAddr>().is_ok()
}

/// What a cluster is made with; fixed for the life of a baked image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ClusterSettings {
    /// Version of Kubernetes with its leading `v`. Default `v1.36.3`.
    pub kubernetes_version: String,
    /// The node's address, attached to the loopback interface at every boot. Default 172.30.99.1.
    pub static_ip: Ipv4Addr,
    /// Pod addresses. Default 10.244.0.0/16.
    pub pod_subnet: Ipv4Net,
    /// Service addresses. Default 10.96.0.0/12.
    pub service_subnet: Ipv4Net,
    /// Names and addresses in the API server's certificate, beyond those that every cluster has.
    pub cert_sans: Vec<String>,
    /// Whether etcd waits for the disk at every write (`fsync`). Default no: a cluster for CI outlives no power cut, and
    /// an orderly stop writes everything.
    pub etcd_sync: bool,
}

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            kubernetes_version: "v1.36.3".to_owned(),
            static_ip: Ipv4Addr::new(172, 30, 99, 1),
            pod_subnet: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
            service_subnet: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 12),
            cert_sans: Vec::new(),
            etcd_sync: false,
        }
    }
}

impl ClusterSettings {
    /// Everything that is wrong with the values, each as (key, what is wrong); empty when they can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let version = self.kubernetes_version.strip_prefix('v').unwrap_or_default();
        let parts: Vec<&str> = version.split('.').collect();
        if parts.len() != 3 || parts.iter().any(|part| part.parse::<u16>().is_err()) {
            problems.push((
                "kubernetesVersion",
                format!("`{}` is not a version such as `v1.36.3`", self.kubernetes_version),
            ));
        }
        let ip = self.static_ip;
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast() || ip.is_link_local() {
            problems.push(("staticIp", format!("`{ip}` is not an address a node can have")));
        }
        for (key, subnet, longest) in [("podSubnet", self.pod_subnet, 23), ("serviceSubnet", self.service_subnet, 24)] {
            if subnet.prefix_len() > longest || subnet.prefix_len() < 8 {
                problems.push((key, format!("`{subnet}` must have a prefix length between 8 and {longest}")));
            }
            if subnet.addr() != subnet.network() {
                problems.push((key, format!("`{subnet}` has host bits set; did you mean `{}`?", subnet.trunc())));
            }
            if subnet.contains(&ip) {
                problems.push((key, format!("`{subnet}` holds the static IP {ip}; choose ranges that do not overlap")));
            }
        }
        if self.pod_subnet.contains(&self.service_subnet.network())
            || self.service_subnet.contains(&self.pod_subnet.network())
        {
            problems.push((
                "podSubnet",
                format!("`{}` and the service subnet `{}` overlap", self.pod_subnet, self.service_subnet),
            ));
        }
        for name in &self.cert_sans {
            if !is_certificate_name(name) {
                problems.push(("certSans", format!("`{name}` is neither a DNS name nor an IP address")));
            }
        }
        problems
    }

    /// The 36 of `v1.36.3`; 0 where the version is none.
    #[must_use]
    pub fn minor_release(&self) -> u16 {
        self.kubernetes_version.split('.').nth(1).and_then(|minor| minor.parse().ok()).unwrap_or(0)
    }

    /// Address of the `kubernetes` service: the first of the service subnet (`pkg/controlplane`: `GetIndexedIP(…, 1)`).
    #[must_use]
    pub fn api_service_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_subnet.network()) + 1)
    }

    /// Address of the cluster's DNS: the tenth of the service subnet (kubeadm: `GetDNSIP`).
    #[must_use]
    pub fn dns_service_ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_subnet.network()) + 10)
    }

    /// The pod addresses of the one node: the first /24 of the pod subnet, as the controller manager would give it.
    #[must_use]
    pub fn node_pod_subnet(&self) -> Ipv4Net {
        Ipv4Net::new_assert(self.pod_subnet.network(), self.pod_subnet.prefix_len().max(24))
    }
}

/// One line of a bake's stdout when `--events=json` is among the arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase began.
    PhaseStarted {
        /// Its name, such as `containerd`.
        name: String,
        /// Its place, from 1.
        index: usize,
        /// How many phases there are in all.
        count: usize,
    },
    /// A phase ended well.
    PhaseDone {
        /// Its name.
        name: String,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// A phase ended the whole.
    PhaseFailed {
        /// Its name.
        name: String,
        /// How long it took.
        elapsed_ms: u64,
        /// The reason, for a person to read.
        reason: String,
    },
    /// Something worth a line under the running phase: an image that was imported, a hook's output.
    Note {
        /// The line.
        text: String,
    },
    /// Something that went wrong and does not end the bake.
    Warning {
        /// What, for a person to read.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_round_trip() {
        let settings = ClusterSettings::default();
        assert_eq!(settings.problems(), []);
        let yaml = serde_yaml::to_string(&settings).unwrap();
        assert_eq!(serde_yaml::from_str::<ClusterSettings>(&yaml).unwrap(), settings);
        assert_eq!(settings.api_service_ip(), Ipv4Addr::new(10, 96, 0, 1));
        assert_eq!(settings.dns_service_ip(), Ipv4Addr::new(10, 96, 0, 10));
        assert_eq!(settings.node_pod_subnet().to_string(), "10.244.0.0/24");
    }

    #[test]
    fn every_problem_is_listed_at_once() {
        let settings = ClusterSettings {
            kubernetes_version: "1.36".to_owned(),
            static_ip: Ipv4Addr::LOCALHOST,
            pod_subnet: "10.96.0.0/30".parse().unwrap(),
            service_subnet: "10.96.0.1/12".parse().unwrap(),
            cert_sans: vec!["ok.example".to_owned(), "not a name".to_owned()],
            ..ClusterSettings::default()
        };
        let keys: Vec<&str> = settings.problems().iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["kubernetesVersion", "staticIp", "podSubnet", "serviceSubnet", "podSubnet", "certSans"]);
    }
}
