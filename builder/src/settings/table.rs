//! The list of settings: one row each with its key in the file, its flag, its variable, its default and what it is
//! for. Everything that names a setting (file, flags, messages, the reference in the README) takes it from here.
//! Holds no values and reads nothing.

use std::fmt::Write as _;

/// A setting; the order is the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is described by its row")]
pub enum Key {
    Name,
    Image,
    KubernetesVersion,
    StaticIp,
    PodSubnet,
    ServiceSubnet,
    CertSans,
    CertValidity,
    EtcdSync,
    ApiPort,
    HttpPort,
    DockerPort,
    DockerTlsPort,
    ExtraPorts,
    TokenFile,
    Network,
    RegistriesFile,
    ExtraCaCerts,
    Cpus,
    Memory,
    ImagesDir,
    HooksDir,
    HookTimeout,
    HookFailure,
    PackedLayers,
    Addons,
    BaseImage,
    GoProxy,
    ReadyTimeout,
    Kubeconfig,
}

/// What a setting's value looks like in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One value.
    Scalar,
    /// One path; a relative one in the file is relative to the file.
    Path,
    /// A list of values.
    List,
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which.
    pub key: Key,
    /// Path in the file: one part, or two where it stands under a section.
    pub path: &'static [&'static str],
    /// The flag, with its dashes.
    pub flag: &'static str,
    /// Environment variables, the first that is set counts.
    pub env: &'static [&'static str],
    /// What the value looks like.
    pub shape: Shape,
    /// The default, for people to read.
    pub default: &'static str,
    /// What it is for, one line.
    pub about: &'static str,
}

impl Row {
    /// The key as it is written in messages: `hostPorts.api`.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.path.join(".")
    }
}

impl Key {
    /// The row that describes it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }
}

const fn row(
    key: Key,
    path: &'static [&'static str],
    flag: &'static str,
    env: &'static [&'static str],
    default: &'static str,
    about: &'static str,
) -> Row {
    Row { key, path, flag, env, shape: Shape::Scalar, default, about }
}

const fn shaped(shape: Shape, row: Row) -> Row {
    Row { shape, ..row }
}

/// All settings, in the order of [`Key`].
pub const TABLE: &[Row] = &[
    row(
        Key::Name,
        &["name"],
        "--name",
        &["KUBAKE_NAME"],
        "kubake",
        "name of the cluster, its container and its kubeconfig context",
    ),
    row(
        Key::Image,
        &["image"],
        "--image",
        &["KUBAKE_IMAGE"],
        "kubake:latest-1.NN",
        "the baked image: what `bake` makes and `up` runs; 1.NN is kubernetesVersion's",
    ),
    row(
        Key::KubernetesVersion,
        &["kubernetesVersion"],
        "--kubernetes-version",
        &["KUBAKE_KUBERNETES_VERSION"],
        "v1.36.3",
        "version of Kubernetes; a minor release such as `1.35` is the patch release of it that can be built",
    ),
    row(
        Key::StaticIp,
        &["staticIp"],
        "--static-ip",
        &["KUBAKE_STATIC_IP"],
        "172.30.99.1",
        "the node's address, the same in every container",
    ),
    row(Key::PodSubnet, &["podSubnet"], "--pod-subnet", &["KUBAKE_POD_SUBNET"], "10.244.0.0/16", "addresses of pods"),
    row(
        Key::ServiceSubnet,
        &["serviceSubnet"],
        "--service-subnet",
        &["KUBAKE_SERVICE_SUBNET"],
        "10.96.0.0/12",
        "addresses of services",
    ),
    shaped(
        Shape::List,
        row(
            Key::CertSans,
            &["certSans"],
            "--cert-san",
            &["KUBAKE_CERT_SANS"],
            "none",
            "more names and addresses for the certificates that a container makes at its first boot",
        ),
    ),
    row(
        Key::CertValidity,
        &["certValidity"],
        "--cert-validity",
        &["KUBAKE_CERT_VALIDITY"],
        "3650d",
        "how long the certificates are valid that a container makes, from `1h` to `36500d`",
    ),
    row(
        Key::EtcdSync,
        &["etcdSync"],
        "--etcd-sync",
        &["KUBAKE_ETCD_SYNC"],
        "off",
        "`on` makes etcd wait for the disk at every write, so that the cluster outlives a power cut of its host",
    ),
    row(
        Key::ApiPort,
        &["hostPorts", "api"],
        "--api-port",
        &["KUBAKE_API_PORT"],
        "8443",
        "host port of the Kubernetes API: a number, `auto`, `IP:PORT` or `off`; on 127.0.0.1 unless an IP is given",
    ),
    row(
        Key::HttpPort,
        &["hostPorts", "http"],
        "--http-port",
        &["KUBAKE_HTTP_PORT"],
        "10080",
        "host port of readiness, status and /config",
    ),
    row(
        Key::DockerPort,
        &["hostPorts", "docker"],
        "--docker-port",
        &["KUBAKE_DOCKER_PORT"],
        "off",
        "host port of the node's Docker API (plain TCP, whoever reaches it is root on the node)",
    ),
    row(
        Key::DockerTlsPort,
        &["hostPorts", "dockerTls"],
        "--docker-tls-port",
        &["KUBAKE_DOCKER_TLS_PORT"],
        "off",
        "host port of the same with TLS, for clients with the certificate of /docker-client.tar",
    ),
    shaped(
        Shape::List,
        row(
            Key::ExtraPorts,
            &["hostPorts", "extra"],
            "--publish",
            &["KUBAKE_PUBLISH"],
            "none",
            "more ports as `[IP:]HOST:CONTAINER[/udp]`, for NodePort services",
        ),
    ),
    shaped(
        Shape::Path,
        row(
            Key::TokenFile,
            &["tokenFile"],
            "--token-file",
            &["KUBAKE_TOKEN_FILE"],
            "none",
            "file with the token that guards the container's credentials and logs",
        ),
    ),
    row(
        Key::Network,
        &["network"],
        "--network",
        &["KUBAKE_NETWORK"],
        "the engine's",
        "network of the engine that the container joins",
    ),
    shaped(
        Shape::Path,
        row(
            Key::RegistriesFile,
            &["registriesFile"],
            "--registries-file",
            &["KUBAKE_REGISTRIES_FILE"],
            "none",
            "file about registries (logins, mirrors, CAs) for a new container; what it names is read on this machine",
        ),
    ),
    shaped(
        Shape::Path,
        row(
            Key::ExtraCaCerts,
            &["extraCaCerts"],
            "--extra-ca-certs",
            &["KUBAKE_EXTRA_CA_CERTS"],
            "none",
            "PEM file with CAs that a new container trusts beside Debian's, and the hooks of a bake",
        ),
    ),
    row(
        Key::Cpus,
        &["cpus"],
        "--cpus",
        &["KUBAKE_CPUS"],
        "the host's",
        "how many processors a new container may use, such as `2.5`; the node is no larger",
    ),
    row(
        Key::Memory,
        &["memory"],
        "--memory",
        &["KUBAKE_MEMORY"],
        "the host's",
        "how much memory a new container may use, such as `4g`, at least `1g`; the node has no more",
    ),
    shaped(
        Shape::Path,
        row(
            Key::ImagesDir,
            &["imagesDir"],
            "--images-dir",
            &["KUBAKE_IMAGES_DIR"],
            "images.d of the checkout",
            "archives (*.tar, *.tar.gz, *.tar.zst), OCI layouts and lists (*.txt) of images to bake in",
        ),
    ),
    shaped(
        Shape::Path,
        row(
            Key::HooksDir,
            &["hooksDir"],
            "--hooks-dir",
            &["KUBAKE_HOOKS_DIR"],
            "hooks of the checkout",
            "directory with hooks: programs that run during the bake and at every boot",
        ),
    ),
    row(
        Key::HookTimeout,
        &["hookTimeout"],
        "--hook-timeout",
        &["KUBAKE_HOOK_TIMEOUT"],
        "30m",
        "how long one hook of the bake may take",
    ),
    row(
        Key::HookFailure,
        &["hookFailure"],
        "--hook-failure",
        &["KUBAKE_HOOK_FAILURE"],
        "fail",
        "what a failed hook means: `fail` ends the bake, `report` tells it and goes on",
    ),
    row(
        Key::PackedLayers,
        &["packedLayers"],
        "--packed-layers",
        &["KUBAKE_PACKED_LAYERS"],
        "off",
        "`on` keeps the layers of images.d packed, too, at twice the space: `docker build` in the node can start from them",
    ),
    shaped(
        Shape::List,
        row(
            Key::Addons,
            &["addons"],
            "--addon",
            &["KUBAKE_ADDONS"],
            "none",
            "what is built and baked in beside the cluster, by the names of the directories in builder/addons",
        ),
    ),
    row(
        Key::BaseImage,
        &["baseImage"],
        "--base-image",
        &["KUBAKE_BASE_IMAGE"],
        "auto",
        "Debian image that the appliance is built on; `auto` pulls or makes one, `mmdebstrap` makes one",
    ),
    row(
        Key::GoProxy,
        &["goProxy"],
        "--go-proxy",
        &["KUBAKE_GO_PROXY", "GOPROXY"],
        "Go's",
        "Go module proxy for building the components",
    ),
    row(
        Key::ReadyTimeout,
        &["readyTimeout"],
        "--ready-timeout",
        &["KUBAKE_READY_TIMEOUT"],
        "5m",
        "how long `up` waits until the cluster is ready",
    ),
    shaped(
        Shape::Path,
        row(
            Key::Kubeconfig,
            &["kubeconfig"],
            "--kubeconfig",
            &["KUBAKE_KUBECONFIG", "KUBECONFIG"],
            "~/.kube/config",
            "kubeconfig that gets the cluster's context",
        ),
    ),
];

/// The reference of all settings as a Markdown table; the README holds a copy that a test compares.
#[must_use]
pub fn reference() -> String {
    let mut text =
        String::from("| Key in `kubake.yaml` | Flag | Variable | Default | What it is |\n|---|---|---|---|---|\n");
    for row in TABLE {
        let env: Vec<String> = row.env.iter().map(|name| format!("`{name}`")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} | {} |",
            row.dotted(),
            row.flag,
            env.join(", "),
            row.default,
            row.about
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_their_keys() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.key as usize, index, "{}", row.dotted());
        }
    }
}
