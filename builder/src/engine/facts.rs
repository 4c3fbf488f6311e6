//! Owns what an engine says of itself: one parser for docker's `info` and one for podman's, and what follows from
//! it. It never runs anything.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::command::Builder;

/// Whose engine it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Flavour {
    /// Docker, or what answers like it.
    #[default]
    Docker,
    /// Podman, also under the name `docker`.
    Podman,
}

impl Flavour {
    /// Name of the command, for messages.
    #[must_use]
    pub(crate) fn command(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
        }
    }

    /// The oldest major version that works: Docker 20.10 cannot run privileged containers without
    /// CAP_SYS_RESOURCE and has no BuildKit as default, podman 3 has no cgroup namespaces on cgroup v1.
    #[must_use]
    pub(crate) fn oldest_version(self) -> u32 {
        match self {
            Self::Docker => 23,
            Self::Podman => 4,
        }
    }
}

/// Where the engine runs, as seen from this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Location {
    /// On this kernel: its files are our files.
    #[default]
    Here,
    /// Behind a local socket, but on another kernel (Docker Desktop, a virtual machine).
    VirtualMachine,
    /// On another machine.
    Remote,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct EngineFacts {
    pub(crate) flavour: Flavour,
    /// The daemon's version.
    pub(crate) version: String,
    /// The CLI's version.
    pub(crate) client_version: String,
    /// The newest version of the API that the CLI speaks.
    pub(crate) api_version: String,
    /// Operating system of the containers, such as `linux`.
    pub(crate) os: String,
    /// Architecture in the names of Go: `amd64`, `arm64`.
    pub(crate) arch: String,
    /// The distribution, for people.
    pub(crate) operating_system: String,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// 1 or 2; 0 where it does not say.
    pub(crate) cgroup_version: u8,
    /// `systemd` or `cgroupfs`.
    pub(crate) cgroup_driver: String,
    /// Such as `overlay2`, or a snapshotter's name.
    pub(crate) storage_driver: String,
    /// The file system under it; empty where it does not say.
    pub(crate) backing_filesystem: String,
    /// Whether images live in containerd's store.
    pub(crate) containerd_snapshotter: bool,
    /// Where it keeps its data.
    pub(crate) root_dir: String,
    /// Such as `name=rootless`.
    pub(crate) security_options: Vec<String>,
    pub(crate) cpus: u64,
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Whether the CLI has buildx.
    pub(crate) buildx: Option<String>,
    /// What the CLI talks to, such as `unix:///var/run/docker.sock`; empty where it does not say.
    pub(crate) endpoint: String,
    /// The CLI's context, which is also the name of the instance of buildx that belongs to the engine.
    pub(crate) context: String,
    /// Where that is.
    pub(crate) location: Location,
    /// The engine's machine as this process sees it, if it runs in a container of the engine with a network of its own.
    pub(crate) own_gateway: Option<IpAddr>,
    /// What ssh's configuration makes of the endpoint's host, which may be an alias.
    pub(crate) ssh_host: Option<String>,
    /// What the engine itself warns of.
    pub(crate) warnings: Vec<String>,
    /// What kept the CLI from an answer.
    pub(crate) server_errors: Vec<String>,
}

impl EngineFacts {
    /// The major part of the daemon's version.
    #[must_use]
    pub(crate) fn major(&self) -> Option<u32> {
        major(&self.version)
    }

    /// Whether it runs without root.
    #[must_use]
    pub(crate) fn rootless(&self) -> bool {
        self.security_options.iter().any(|option| option.contains("rootless"))
    }

    /// Whether container root is not the machine's root.
    #[must_use]
    pub(crate) fn userns_remap(&self) -> bool {
        self.security_options.iter().any(|option| option.contains("userns"))
    }

    /// How images are built here; `None` where nothing builds them.
    #[must_use]
    pub(crate) fn builder(&self) -> Option<Builder> {
        match self.flavour {
            Flavour::Podman => Some(Builder::Podman),
            Flavour::Docker if self.buildx.is_some() => Some(Builder::Buildx),
            // From 23 on the CLI leaves BuildKit to the plugin, and refuses to use it without.
            Flavour::Docker => major(&self.client_version).filter(|major| *major < 23).map(|_| Builder::BuiltIn),
        }
    }
}

fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Parses the answer to `info`, docker's or podman's.
///
/// # Errors
/// When the text is neither.
pub(super) fn parse_info(text: &str) -> serde_json::Result<EngineFacts> {
    let value: serde_json::Value = serde_json::from_str(text)?;
    // Podman calls itself `docker` where podman-docker is installed, so the answer decides.
    if value.get("host").is_some() && value.get("store").is_some() {
        serde_json::from_value::<PodmanInfo>(value).map(EngineFacts::from)
    } else {
        serde_json::from_value::<DockerInfo>(value).map(EngineFacts::from)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DockerInfo {
    server_version: String,
    #[serde(rename = "OSType")]
    os_type: String,
    architecture: String,
    operating_system: String,
    kernel_version: String,
    cgroup_version: String,
    cgroup_driver: String,
    driver: String,
    driver_status: Option<Vec<(String, String)>>,
    docker_root_dir: String,
    security_options: Option<Vec<String>>,
    #[serde(rename = "NCPU")]
    cpus: u64,
    mem_total: u64,
    client_info: Option<ClientInfo>,
    warnings: Option<Vec<String>>,
    server_errors: Option<Vec<String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ClientInfo {
    version: String,
    #[serde(rename = "DefaultAPIVersion")]
    api_version: String,
    plugins: Option<Vec<Plugin>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Plugin {
    name: String,
    version: String,
    err: Option<serde_json::Value>,
}

impl From<DockerInfo> for EngineFacts {
    fn from(info: DockerInfo) -> Self {
        let client = info.client_info.unwrap_or_default();
        let status = info.driver_status.unwrap_or_default();
        let status = |key: &str| status.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        Self {
            flavour: Flavour::Docker,
            version: info.server_version,
            client_version: client.version,
            api_version: client.api_version,
            os: info.os_type,
            arch: go_arch(&info.architecture),
            operating_system: info.operating_system,
            kernel: info.kernel_version,
            cgroup_version: info.cgroup_version.parse().unwrap_or(0),
            cgroup_driver: info.cgroup_driver,
            backing_filesystem: status("Backing Filesystem").unwrap_or_default(),
            // With containerd's store, the driver status names the snapshotter's type instead of a file system.
            containerd_snapshotter: status("driver-type").is_some_and(|kind| kind.contains("snapshotter")),
            storage_driver: info.driver,
            root_dir: info.docker_root_dir,
            security_options: info.security_options.unwrap_or_default(),
            cpus: info.cpus,
            memory: info.mem_total,
            buildx: client
                .plugins
                .unwrap_or_default()
                .into_iter()
                .find(|plugin| plugin.name == "buildx" && plugin.err.is_none())
                .map(|plugin| plugin.version),
            endpoint: String::new(),
            context: String::new(),
            location: Location::Here,
            own_gateway: None,
            ssh_host: None,
            warnings: info.warnings.unwrap_or_default(),
            server_errors: info.server_errors.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct PodmanInfo {
    host: PodmanHost,
    store: PodmanStore,
    #[serde(default)]
    version: PodmanVersion,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanHost {
    arch: String,
    os: String,
    kernel: String,
    cgroup_version: String,
    cgroup_manager: String,
    cpus: u64,
    mem_total: u64,
    service_is_remote: bool,
    distribution: PodmanDistribution,
    security: PodmanSecurity,
    remote_socket: PodmanSocket,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodmanDistribution {
    distribution: String,
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodmanSecurity {
    rootless: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodmanSocket {
    path: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PodmanStore {
    graph_driver_name: String,
    graph_root: String,
    graph_status: std::collections::BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PodmanVersion {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "APIVersion")]
    api_version: String,
}

impl From<PodmanInfo> for EngineFacts {
    fn from(info: PodmanInfo) -> Self {
        let host = info.host;
        let backing = info.store.graph_status.get("Backing Filesystem").and_then(|value| value.as_str());
        Self {
            flavour: Flavour::Podman,
            client_version: info.version.version.clone(),
            version: info.version.version,
            api_version: info.version.api_version,
            os: host.os,
            arch: host.arch,
            operating_system: format!("{} {}", host.distribution.distribution, host.distribution.version)
                .trim()
                .to_owned(),
            kernel: host.kernel,
            cgroup_version: host.cgroup_version.trim_start_matches('v').parse().unwrap_or(0),
            cgroup_driver: host.cgroup_manager,
            storage_driver: info.store.graph_driver_name,
            backing_filesystem: backing.unwrap_or_default().to_owned(),
            containerd_snapshotter: false,
            root_dir: info.store.graph_root,
            security_options: if host.security.rootless { vec!["name=rootless".to_owned()] } else { Vec::new() },
            cpus: host.cpus,
            memory: host.mem_total,
            buildx: None,
            endpoint: if host.service_is_remote { host.remote_socket.path } else { String::new() },
            context: String::new(),
            location: Location::Here,
            own_gateway: None,
            ssh_host: None,
            warnings: Vec::new(),
            server_errors: Vec::new(),
        }
    }
}

/// The kernel's name of an architecture in the words of Go and of image indexes.
fn go_arch(machine: &str) -> String {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" => "arm",
        other => other,
    }
    .to_owned()
}

/// Where an engine runs, from its endpoint and its kernel's release. A local socket alone proves little: Docker Desktop has
/// one, too, and so has a forwarded socket. Two machines with the very same kernel remain indistinguishable.
#[must_use]
pub(super) fn location(endpoint: &str, its_kernel: &str, our_kernel: &str) -> Location {
    let local = endpoint.is_empty() || endpoint.starts_with("unix:") || endpoint.starts_with("fd:");
    if !local {
        Location::Remote
    } else if its_kernel == our_kernel || its_kernel.is_empty() {
        Location::Here
    } else {
        Location::VirtualMachine
    }
}

/// The host under which the engine's published ports are reached: the endpoint's, where it names one.
#[must_use]
pub(super) fn published_host(endpoint: &str) -> String {
    let local = || "127.0.0.1".to_owned();
    let Some((scheme, rest)) = endpoint.split_once("://") else { return local() };
    if !matches!(scheme, "tcp" | "ssh" | "http" | "https") {
        return local();
    }
    let authority = rest.split('/').next().unwrap_or_default();
    let host_port = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host_port.split(':').next().unwrap_or_default(),
    };
    if host.is_empty() { local() } else { host.to_owned() }
}

/// The host name in the output of `ssh -G ALIAS`.
#[must_use]
pub(super) fn ssh_hostname(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_prefix("hostname ")).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_with_buildx() {
        let facts = parse_info(
            r#"{"Driver":"overlay2","DriverStatus":[["Backing Filesystem","extfs"]],"CgroupVersion":"1","CgroupDriver":"cgroupfs",
            "KernelVersion":"6.18","OSType":"linux","Architecture":"x86_64","NCPU":2,"MemTotal":25276502016,
            "DockerRootDir":"/var/lib/docker","ServerVersion":"26.1.5+dfsg1","SecurityOptions":["name=seccomp,profile=builtin"],
            "Warnings":null,"ClientInfo":{"Version":"28.2.2","DefaultAPIVersion":"1.50",
            "Plugins":[{"Name":"buildx","Version":"0.13.1"}]}}"#,
        )
        .unwrap();
        assert_eq!(facts.flavour, Flavour::Docker);
        assert_eq!((facts.major(), facts.cgroup_version, facts.arch.as_str()), (Some(26), 1, "amd64"));
        assert_eq!(facts.builder(), Some(Builder::Buildx));
        assert_eq!(facts.backing_filesystem, "extfs");
        assert!(!facts.rootless() && !facts.containerd_snapshotter);
    }

    #[test]
    fn docker_with_containerd_store_and_without_buildx() {
        let facts = parse_info(
            r#"{"Driver":"overlayfs","DriverStatus":[["driver-type","io.containerd.snapshotter.v1"]],"ServerVersion":"28.0.0",
            "SecurityOptions":["name=rootless","name=cgroupns"],"ClientInfo":{"Version":"28.0.0","Plugins":[{"Name":"buildx","Err":"broken"}]}}"#,
        )
        .unwrap();
        assert!(facts.containerd_snapshotter && facts.rootless());
        assert_eq!(facts.builder(), None);
        let old_client = EngineFacts { client_version: "20.10.24".to_owned(), ..facts };
        assert_eq!(old_client.builder(), Some(Builder::BuiltIn));
    }

    #[test]
    fn daemon_that_does_not_answer_leaves_no_version() {
        let facts = parse_info(
            r#"{"ID":"","Containers":0,"ServerErrors":["Cannot connect to the Docker daemon"],"ClientInfo":{"Version":"28.2.2"}}"#,
        )
        .unwrap();
        assert_eq!((facts.version.as_str(), facts.server_errors.len()), ("", 1));
    }

    #[test]
    fn podman_under_any_name() {
        let facts = parse_info(
            r#"{"host":{"arch":"arm64","os":"linux","kernel":"6.1","cgroupVersion":"v2","cgroupManager":"systemd","cpus":4,
            "memTotal":8,"serviceIsRemote":false,"distribution":{"distribution":"fedora","version":"40"},"security":{"rootless":true}},
            "store":{"graphDriverName":"overlay","graphRoot":"/var/lib/containers/storage","graphStatus":{"Backing Filesystem":"xfs"}},
            "version":{"Version":"5.4.2","APIVersion":"5.4.2"}}"#,
        )
        .unwrap();
        assert_eq!((facts.flavour, facts.cgroup_version, facts.major()), (Flavour::Podman, 2, Some(5)));
        assert!(facts.rootless());
        assert_eq!(facts.builder(), Some(Builder::Podman));
        assert_eq!(facts.backing_filesystem, "xfs");
    }

    #[test]
    fn an_alias_of_ssh_is_no_host_name() {
        assert_eq!(ssh_hostname("user me\nhostname build.example\nport 22\n"), Some("build.example"));
        assert_eq!(ssh_hostname("user me\n"), None);
    }

    #[test]
    fn where_it_runs() {
        for (endpoint, kernel, location_, host) in [
            ("unix:///var/run/docker.sock", "6.1", Location::Here, "127.0.0.1"),
            ("", "6.1", Location::Here, "127.0.0.1"),
            ("unix:///home/u/.docker/desktop/docker.sock", "6.10-linuxkit", Location::VirtualMachine, "127.0.0.1"),
            ("tcp://docker:2375", "6.1", Location::Remote, "docker"),
            ("ssh://user@host.example:22", "6.1", Location::Remote, "host.example"),
            ("tcp://[fd00::1]:2376", "6.2", Location::Remote, "fd00::1"),
        ] {
            assert_eq!(location(endpoint, kernel, "6.1"), location_, "{endpoint}");
            assert_eq!(published_host(endpoint), host, "{endpoint}");
        }
    }
}
