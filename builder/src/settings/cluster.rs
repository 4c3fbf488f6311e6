//! The settings that a cluster is made with: they go into its image, and `kubake-init` reads them there. Owns their
//! declarations and the comparison of two clusters' settings; the type and its checks are the contract's.

use ipnet::Ipv4Net;
use kubake_contract::ClusterSettings;

use super::entry::Origins;
use super::error::Problem;
use super::setting::{Declaration, Key, Setting, Subcommand, store};
use super::switch::{parse_switch, print_switch};
use crate::versions;

impl Key {
    pub(crate) const KUBERNETES_VERSION: Self = Self::new("kubernetesVersion");
    pub(crate) const STATIC_IP: Self = Self::new("staticIp");
    pub(crate) const POD_SUBNET: Self = Self::new("podSubnet");
    pub(crate) const SERVICE_SUBNET: Self = Self::new("serviceSubnet");
    pub(crate) const CERT_SANS: Self = Self::new("certSans");
    pub(crate) const ETCD_SYNC: Self = Self::new("etcdSync");
}

pub(super) const SETTINGS: &[Setting<ClusterSettings>] = &[
    Setting::one(
        Declaration {
            key: Key::KUBERNETES_VERSION,
            flag: "--kubernetes-version",
            env: &["KUBAKE_KUBERNETES_VERSION"],
            placeholder: "VERSION",
            default: versions::PINNED[0],
            about: "version of Kubernetes; a minor release such as `1.35` means its patch release that can be built",
            subcommands: &[Subcommand::Bake, Subcommand::Bench],
            ..Declaration::BASE
        },
        |cluster, text| store(&mut cluster.kubernetes_version, Ok(versions::complete(text))),
        |cluster| Some(cluster.kubernetes_version.clone()),
    ),
    Setting::one(
        Declaration {
            key: Key::STATIC_IP,
            flag: "--static-ip",
            env: &["KUBAKE_STATIC_IP"],
            placeholder: "IP",
            default: "172.30.99.1",
            about: "the node's address, the same in every container",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |cluster, text| {
            cluster.static_ip = text.parse().map_err(|_| format!("`{text}` is not an IPv4 address"))?;
            Ok(())
        },
        |cluster| Some(cluster.static_ip.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::POD_SUBNET,
            flag: "--pod-subnet",
            env: &["KUBAKE_POD_SUBNET"],
            placeholder: "CIDR",
            default: "10.244.0.0/16",
            about: "range of pod addresses",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |cluster, text| store(&mut cluster.pod_subnet, parse_subnet(text)),
        |cluster| Some(cluster.pod_subnet.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::SERVICE_SUBNET,
            flag: "--service-subnet",
            env: &["KUBAKE_SERVICE_SUBNET"],
            placeholder: "CIDR",
            default: "10.96.0.0/12",
            about: "range of service addresses",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |cluster, text| store(&mut cluster.service_subnet, parse_subnet(text)),
        |cluster| Some(cluster.service_subnet.to_string()),
    ),
    Setting::list(
        Declaration {
            key: Key::CERT_SANS,
            flag: "--cert-san",
            env: &["KUBAKE_CERT_SANS"],
            placeholder: "NAME|IP",
            about: "more names and addresses for the certificates that a container makes at its first boot",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |cluster| cluster.cert_sans.clear(),
        |cluster, text| {
            cluster.cert_sans.push(text.to_owned());
            Ok(())
        },
        |cluster| cluster.cert_sans.clone(),
    ),
    Setting::one(
        Declaration {
            key: Key::ETCD_SYNC,
            flag: "--etcd-sync",
            env: &["KUBAKE_ETCD_SYNC"],
            placeholder: "on|off",
            default: "off",
            about: "`on` makes etcd wait for the disk at every write, so that the cluster survives a power cut of its host",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |cluster, text| store(&mut cluster.etcd_sync, parse_switch(text)),
        |cluster| Some(print_switch(cluster.etcd_sync)),
    ),
];

fn parse_subnet(text: &str) -> Result<Ipv4Net, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IPv4 range such as `10.244.0.0/16`"))
}

/// Reports what the contract says is wrong, each with the source of the setting at fault.
pub(super) fn problems(cluster: &ClusterSettings, origins: &Origins) -> Vec<Problem> {
    let problem = |(key, message): (&str, String)| {
        let own = SETTINGS.iter().map(|setting| setting.declaration.key).find(|known| known.path() == key);
        // Two settings that do not fit together: the one that the message names may have its default.
        let candidates: Vec<Key> = own.into_iter().chain([Key::STATIC_IP, Key::SERVICE_SUBNET]).collect();
        Problem { origin: origins.first_given(&candidates), message: format!("{key} {message}") }
    };
    cluster.problems().into_iter().map(problem).collect()
}

/// What differs between two clusters' settings, of those that `asked` names: key, wanted, baked.
pub(crate) fn different(
    wanted: &ClusterSettings,
    baked: &ClusterSettings,
    asked: impl Fn(Key) -> bool,
) -> Vec<(String, String, String)> {
    let values = |settings: &ClusterSettings| serde_json::to_value(settings).unwrap_or_default();
    let (wanted, baked) = (values(wanted), values(baked));
    SETTINGS
        .iter()
        .map(|setting| setting.declaration.key)
        .filter(|key| asked(*key))
        .filter_map(|key| {
            let (wanted, baked) = (wanted.get(key.path())?, baked.get(key.path())?);
            (wanted != baked).then(|| (key.path().to_owned(), wanted.to_string(), baked.to_string()))
        })
        .collect()
}
