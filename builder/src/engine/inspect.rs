//! Owns what `inspect` answers, reduced to the fields that `kubake` uses; the parsers take text. It never runs
//! anything.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Deserializer, Serialize};

use crate::port::Protocol;

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) tags: Vec<String>,
    /// Its names with digests.
    pub(crate) digests: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) env: Vec<String>,
    pub(crate) entrypoint: Vec<String>,
    pub(crate) size: u64,
    /// When, RFC 3339.
    pub(crate) created: String,
    /// Such as `amd64`.
    pub(crate) architecture: String,
    /// Digests of its layers.
    pub(crate) layers: Vec<String>,
}

/// A container's state.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub(crate) struct State {
    /// `created`, `running`, `paused`, `restarting`, `removing`, `exited` or `dead`.
    pub(crate) status: String,
    /// Whether its process runs.
    pub(crate) running: bool,
    /// How it ended; 0 while it runs.
    pub(crate) exit_code: i64,
    /// Why it could not start.
    pub(crate) error: String,
    /// Whether the kernel killed it for want of memory.
    #[serde(rename(deserialize = "OOMKilled"))]
    pub(crate) oom_killed: bool,
    /// Its process on the engine's machine.
    pub(crate) pid: i64,
    pub(crate) started_at: String,
    pub(crate) finished_at: String,
    /// What its health check says, if it has one.
    pub(crate) health: Option<Health>,
}

/// What a health check says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub(crate) struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub(crate) status: String,
    /// How often in a row it failed.
    pub(crate) failing_streak: u64,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Published {
    /// The container's port.
    pub(crate) container_port: u16,
    pub(crate) protocol: Protocol,
    /// The host's address; none where the engine does not say (podman).
    pub(crate) host_ip: Option<IpAddr>,
    /// The host's port.
    pub(crate) host_port: u16,
}

/// A file system of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub(crate) struct MountPoint {
    /// `volume`, `bind` or `tmpfs`.
    #[serde(rename(deserialize = "Type"))]
    pub(crate) kind: String,
    /// A volume's name.
    pub(crate) name: String,
    /// Where it lies on the engine's machine.
    pub(crate) source: String,
    /// Where the container sees it.
    pub(crate) destination: String,
}

/// A container's end in a network.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"), default)]
pub(crate) struct Attachment {
    /// Its IPv4 address; empty while it does not run.
    #[serde(rename(deserialize = "IPAddress"))]
    pub(crate) ip_address: String,
    /// The IPv4 gateway.
    pub(crate) gateway: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    /// The name of the image that it was created from.
    pub(crate) image: String,
    /// The id of that image.
    pub(crate) image_id: String,
    /// When, RFC 3339.
    pub(crate) created: String,
    pub(crate) state: State,
    pub(crate) labels: BTreeMap<String, String>,
    /// Published ports, sorted by container port; empty while it does not run.
    pub(crate) ports: Vec<Published>,
    pub(crate) mounts: Vec<MountPoint>,
    /// Networks by name.
    pub(crate) networks: BTreeMap<String, Attachment>,
    /// Whether it is privileged.
    pub(crate) privileged: bool,
    /// Whether the container shares the network of its engine\'s machine, so that nothing is published.
    pub(crate) is_in_host_network: bool,
    /// The names of its variables that are not empty; values may be secrets.
    pub(crate) variables: Vec<String>,
}

/// `null` means the same as absence.
fn or_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An entrypoint is a list; podman writes a single string in some versions.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        Some(serde_json::Value::String(word)) => vec![word],
        Some(serde_json::Value::Array(items)) => {
            items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawImage {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    repo_digests: Vec<String>,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    created: String,
    #[serde(default)]
    architecture: String,
    #[serde(default, deserialize_with = "or_default")]
    config: RawConfig,
    #[serde(default, rename = "RootFS", deserialize_with = "or_default")]
    root_fs: RawRootFs,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    image: String,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "words")]
    entrypoint: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawRootFs {
    #[serde(deserialize_with = "or_default")]
    layers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    created: String,
    #[serde(default, deserialize_with = "or_default")]
    state: State,
    #[serde(default, deserialize_with = "or_default")]
    config: RawConfig,
    #[serde(default, deserialize_with = "or_default")]
    host_config: RawHostConfig,
    #[serde(default, deserialize_with = "or_default")]
    mounts: Vec<MountPoint>,
    #[serde(default, deserialize_with = "or_default")]
    network_settings: RawNetworkSettings,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawHostConfig {
    privileged: bool,
    #[serde(deserialize_with = "or_default")]
    network_mode: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawNetworkSettings {
    #[serde(deserialize_with = "or_default")]
    ports: BTreeMap<String, Option<Vec<RawBinding>>>,
    #[serde(deserialize_with = "or_default")]
    networks: BTreeMap<String, Attachment>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawBinding {
    host_ip: String,
    host_port: String,
}

/// Parses `image inspect`.
///
/// # Errors
/// When the text is not that.
pub(super) fn parse_images(text: &str) -> serde_json::Result<Vec<Image>> {
    let raw: Vec<RawImage> = serde_json::from_str(text)?;
    Ok(raw
        .into_iter()
        .map(|raw| Image {
            id: raw.id,
            tags: raw.repo_tags,
            digests: raw.repo_digests,
            labels: raw.config.labels,
            env: raw.config.env,
            entrypoint: raw.config.entrypoint,
            size: raw.size,
            created: raw.created,
            architecture: raw.architecture,
            layers: raw.root_fs.layers,
        })
        .collect())
}

/// Parses `container inspect`.
///
/// # Errors
/// When the text is not that.
pub(super) fn parse_containers(text: &str) -> serde_json::Result<Vec<Container>> {
    let raw: Vec<RawContainer> = serde_json::from_str(text)?;
    Ok(raw
        .into_iter()
        .map(|raw| Container {
            id: raw.id,
            // Docker writes `/name`.
            name: raw.name.trim_start_matches('/').to_owned(),
            image: raw.config.image,
            image_id: raw.image,
            created: raw.created,
            state: raw.state,
            labels: raw.config.labels,
            ports: published(raw.network_settings.ports),
            mounts: raw.mounts,
            networks: raw.network_settings.networks,
            is_in_host_network: raw.host_config.network_mode == "host",
            privileged: raw.host_config.privileged,
            variables: raw
                .config
                .env
                .iter()
                .filter_map(|pair| pair.split_once('='))
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, _)| name.to_owned())
                .collect(),
        })
        .collect())
}

fn published(ports: BTreeMap<String, Option<Vec<RawBinding>>>) -> Vec<Published> {
    let mut published = Vec::new();
    for (key, bindings) in ports {
        let (port, protocol) = key.split_once('/').unwrap_or((&key, "tcp"));
        let (Ok(container_port), Some(protocol)) = (port.parse(), Protocol::parse(protocol)) else { continue };
        for binding in bindings.unwrap_or_default() {
            let Ok(host_port) = binding.host_port.parse() else { continue };
            let host_ip = binding.host_ip.parse().ok();
            published.push(Published { container_port, protocol, host_ip, host_port });
        }
    }
    published.sort_by_key(|port| (port.container_port, port.host_port));
    published
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_of_docker() {
        let text = r#"[{"Id":"abc","Created":"2026-11-22T09:00:00Z","Name":"/kubake-dev","Image":"sha256:1",
          "State":{"Status":"exited","Running":false,"OOMKilled":true,"ExitCode":137,"Error":"","Pid":0,
                   "Health":{"Status":"unhealthy","FailingStreak":3,"Log":[]}},
          "Config":{"Image":"kubake:v1","Labels":{"io.kubake.cluster":"dev"},"Env":["PATH=/bin","A=b=c","EMPTY="],"Entrypoint":null},
          "HostConfig":{"Privileged":true,"NetworkMode":"host"},
          "Mounts":[{"Type":"volume","Name":"v","Source":"/var/lib/docker/volumes/v/_data","Destination":"/d","RW":true}],
          "NetworkSettings":{"Ports":{"8443/tcp":[{"HostIp":"0.0.0.0","HostPort":"32769"},{"HostIp":"::","HostPort":"32769"}],
             "10080/tcp":[{"HostIp":"127.0.0.1","HostPort":"10080"}],"2375/tcp":null},
             "Networks":{"bridge":{"IPAddress":"172.17.0.2","Gateway":"172.17.0.1"}}}}]"#;
        let container = parse_containers(text).unwrap().remove(0);
        assert_eq!(container.name, "kubake-dev");
        assert!(container.privileged && container.is_in_host_network && container.state.oom_killed);
        assert_eq!(container.state.exit_code, 137);
        assert_eq!(container.state.health.as_ref().unwrap().status, "unhealthy");
        let published: Vec<_> = container.ports.iter().map(|port| (port.container_port, port.host_port)).collect();
        assert_eq!(published, [(8443, 32769), (8443, 32769), (10080, 10080)]);
        assert_eq!(container.ports[2].host_ip.unwrap().to_string(), "127.0.0.1");
        assert_eq!(container.networks["bridge"].ip_address, "172.17.0.2");
        assert_eq!(container.mounts[0].kind, "volume");
        assert_eq!(container.variables, ["PATH", "A"]);
    }

    #[test]
    fn image_without_labels_or_names() {
        let text = r#"[{"Id":"sha256:1","RepoTags":null,"Size":7,"Created":"x","Architecture":"amd64",
          "Config":{"Labels":null,"Entrypoint":["/a","b"]},"RootFS":{"Type":"layers","Layers":["sha256:2"]}},
          {"Id":"sha256:3","Config":null}]"#;
        let images = parse_images(text).unwrap();
        assert_eq!((images[0].size, images[0].labels.len(), images[0].layers.len()), (7, 0, 1));
        assert_eq!(images[0].entrypoint, ["/a", "b"]);
        assert_eq!(images[1].id, "sha256:3");
    }
}
