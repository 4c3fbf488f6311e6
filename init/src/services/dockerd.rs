//! dockerd: the Docker API on the same containerd, so that an image built through Docker is one that pods can use.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::Ipv4Net;
use kubake_contract::{names, paths};

use crate::supervisor::Service;

/// Name in `/status` and of the log file.
pub(crate) const NAME: &str = "dockerd";

/// The generated configuration. Not `/etc/docker/daemon.json`, which a user may put in place for other tools.
pub(crate) const CONFIG: &str = "/run/kubake/dockerd.json";

/// Registries with settings of their own. Empty by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Registries {
    /// URLs of mirrors of Docker Hub.
    pub mirrors: Vec<String>,
    /// Hosts without TLS, or with a certificate that dockerd does not verify.
    pub insecure: Vec<String>,
}

/// Ranges for dockerd's networks, in the order in which they are tried. Engines hand out networks of 172.16.0.0/12 and
/// 192.168.0.0/16, podman of 10.88.0.0/15: if the node's own lay there, the engine could not connect a running cluster to
/// the network that it hands out next, since it would hide a route of the node.
const RANGES: [[u8; 2]; 4] = [[10, 209], [10, 223], [10, 77], [198, 19]];

/// The networks that dockerd makes in the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks {
    /// The node's address on `docker0`, and the size of that network.
    bridge: Ipv4Net,
    /// The range of all others.
    others: Ipv4Net,
    /// Packets must not exceed that of the interface that leads outside.
    mtu: u32,
}

impl Networks {
    /// Chooses the first range that overlaps none of these networks.
    pub(crate) fn beside(taken: &[Ipv4Net], mtu: u32) -> Self {
        let ranges = RANGES.map(|[a, b]| Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), 16));
        let overlaps = |range: &Ipv4Net| taken.iter().any(|net| net.contains(&range.network()) || range.contains(net));
        let range = ranges.into_iter().find(|range| !overlaps(range)).unwrap_or(ranges[0]);
        let [a, b, ..] = range.network().octets();
        Self {
            bridge: Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 1), 20),
            others: Ipv4Net::new_assert(Ipv4Addr::new(a, b, 128, 0), 17),
            mtu,
        }
    }

    /// Keeps the address of a bridge that is there already.
    #[must_use]
    pub(crate) fn with_bridge(self, existing: Option<Ipv4Net>) -> Self {
        Self { bridge: existing.unwrap_or(self.bridge), ..self }
    }
}

/// The text of [`CONFIG`]: lists, and settings that dockerd 26 reads only from a file.
#[must_use]
pub(crate) fn config(registries: &Registries, networks: &Networks) -> String {
    let mut config = serde_json::json!({
        // dockerd keeps images in containerd's store, so that pods can use them.
        "features": { "containerd-snapshotter": true },
        "bip": networks.bridge.to_string(),
        "default-address-pools": [{ "base": networks.others.to_string(), "size": 24 }],
        "mtu": networks.mtu,
        // `mtu` is that of the default bridge alone.
        "default-network-opts": { "bridge": { "com.docker.network.driver.mtu": networks.mtu.to_string() } },
    });
    for (key, list) in [("registry-mirrors", &registries.mirrors), ("insecure-registries", &registries.insecure)] {
        if !list.is_empty() {
            config[key] = serde_json::json!(list);
        }
    }
    format!("{config:#}\n")
}

/// The daemon. It listens on its unix socket only: with TCP and without TLS it sleeps 16 s before it serves anything
/// (moby, `daemon/command/daemon.go`: `loadListeners`), so `docker_proxy` serves TCP instead.
#[must_use]
pub(crate) fn service(proxies: Vec<(OsString, OsString)>) -> Service {
    let args = [
        "--host".to_owned(),
        format!("unix://{}", paths::DOCKERD_SOCKET),
        "--containerd".to_owned(),
        paths::CONTAINERD_SOCKET.to_owned(),
        "--containerd-namespace".to_owned(),
        names::CONTAINERD_NAMESPACE.to_owned(),
        "--config-file".to_owned(),
        CONFIG.to_owned(),
        "--exec-root".to_owned(),
        "/run/docker".to_owned(),
        "--pidfile".to_owned(),
        "/run/docker.pid".to_owned(),
        "--default-runtime".to_owned(),
        "crun".to_owned(),
        "--add-runtime".to_owned(),
        "crun=/usr/bin/crun".to_owned(),
    ];
    Service {
        name: NAME,
        program: PathBuf::from("/usr/sbin/dockerd"),
        args: args.into_iter().map(Into::into).collect(),
        // dockerd mostly waits: this trades a little processor time for less memory.
        // `container` keeps it from replacing the profile `docker-default` of AppArmor, which the kernel shares with the host's
        // Docker (moby: `apparmor.HostSupports`).
        env: [("GOGC".into(), "50".into()), ("container".into(), "docker".into())].into_iter().chain(proxies).collect(),
        stop_timeout: Duration::from_secs(3),
        // The node works without it, and the cause may go away: a full disk, a range that another network has.
        is_given_up: false,
        // On two cores the processor limits a boot, and Kubernetes goes first.
        nice: 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_named_only_where_there_are_some() {
        let networks = Networks::beside(&[], 1500);
        let config = |registries: &Registries| -> serde_json::Value {
            serde_json::from_str(&config(registries, &networks)).unwrap()
        };
        let usual = config(&Registries::default());
        assert!(usual.get("registry-mirrors").is_none() && usual.get("insecure-registries").is_none(), "{usual}");
        let (mirrors, insecure) = (vec!["https://mirror.example".to_owned()], vec!["a.example:5000".to_owned()]);
        let config = config(&Registries { mirrors, insecure });
        assert_eq!(config["registry-mirrors"][0], "https://mirror.example");
        assert_eq!(config["insecure-registries"][0], "a.example:5000");
    }

    #[test]
    fn networks_lie_beside_those_of_engines_and_of_the_cluster() {
        let net = |text: &str| text.parse::<Ipv4Net>().unwrap();
        let usual = Networks::beside(&[net("10.244.0.0/16"), net("10.96.0.0/12"), net("172.17.0.0/16")], 1360);
        let config: serde_json::Value = serde_json::from_str(&config(&Registries::default(), &usual)).unwrap();
        assert_eq!(config["bip"], "10.209.0.1/20");
        assert_eq!(config["default-address-pools"][0]["base"], "10.209.128.0/17");
        assert_eq!(config["default-network-opts"]["bridge"]["com.docker.network.driver.mtu"], "1360");
        assert_eq!(config["mtu"], 1360);
        let shared = usual.with_bridge(Some(net("172.17.0.1/16")));
        assert_eq!(shared.bridge.to_string(), "172.17.0.1/16");
        let of_engines = ["172.16.0.0/12", "192.168.0.0/16", "10.88.0.0/15"].map(net);
        for [a, b] in RANGES {
            let address = Ipv4Addr::new(a, b, 0, 1);
            assert!(of_engines.iter().all(|range| !range.contains(&address)), "{address}");
        }
        for (taken, bridge) in
            [("10.209.3.0/24", "10.223.0.1/20"), ("10.0.0.0/8", "198.19.0.1/20"), ("0.0.0.0/0", "10.209.0.1/20")]
        {
            assert_eq!(Networks::beside(&[net(taken)], 1500).bridge.to_string(), bridge, "{taken}");
        }
    }
}
