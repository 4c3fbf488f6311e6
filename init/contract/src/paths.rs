//! Paths inside the container.

/// [`crate::ClusterSettings`] as YAML, written by `kubake bake` before the first start of the build container.
pub const SETTINGS: &str = "/etc/kubake/settings.yaml";
/// What the baked cluster runs, by name; written at the end of a bake, the measure of readiness at every boot.
pub const INVENTORY: &str = "/etc/kubake/inventory.yaml";
/// Where `kubake bake` puts archives that the bake imports; gone before the commit.
pub const INBOX_IMAGES: &str = "/kubake/inbox/images";
/// Where `kubake bake` puts the hooks `before-cluster` and `after-cluster`; gone before the commit.
pub const INBOX_HOOKS: &str = "/kubake/inbox/hooks";
/// [`crate::BakeRequest`], written by `kubake bake`; gone before the commit.
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
pub const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";
/// The Docker API for programs of the node, behind which [`DOCKERD_SOCKET`] is.
pub const DOCKER_SOCKET: &str = "/run/docker.sock";
/// The socket that dockerd itself serves.
pub const DOCKERD_SOCKET: &str = "/run/kubake/dockerd.sock";
/// Data of the volumes that the default StorageClass provisions, a part of containerd's volume; survives a restart.
pub const VOLUMES: &str = "/var/lib/kubake/volumes";
/// Where kubelet keeps the volumes of pods, emptyDirs among them.
pub const PODS: &str = "/var/lib/kubelet/pods";
/// The content of claims that a bake made, an archive each, which the first boot of a container unpacks to [`VOLUMES`].
pub const FROZEN_VOLUMES: &str = "/kubake/volumes";
/// Which state on containerd's volume is this container's; made at its first boot, and never part of an image.
pub const STORE_CLAIM: &str = "/var/lib/kubake/store-claim";
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
/// Where `kubake up` puts files from the host before the first start. They are in the container's own layer, so that every
/// boot finds them, and only root can read them.
pub const HOST_CONTEXT: &str = "/etc/kubake/handed-on";
/// Which identity this container has; made at first boot, and never part of an image.
pub const IDENTITY: &str = "/etc/kubake/identity.yaml";
/// Exists as soon as the container was ready once; in no image.
pub const FIRST_READINESS: &str = "/etc/kubake/was-ready";
/// Static pod manifests.
pub const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// etcd's data directory.
pub const ETCD: &str = "/var/lib/etcd";
