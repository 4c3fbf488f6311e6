//! Detects features of a kernel from its configuration and its modules.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Support of a feature in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Support {
    /// The feature is built in, or its module is loaded.
    Present,
    /// The module is installed and not loaded.
    Loadable,
    /// The kernel does not have the feature.
    Missing,
    /// The host has no information about the feature.
    Unknown,
}

/// A feature of the kernel that a cluster needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Feature {
    /// Name in the report.
    pub(crate) name: &'static str,
    /// Options of the kernel configuration without `CONFIG_`. Each alone is sufficient.
    pub(crate) options: &'static [&'static str],
    pub(crate) module: &'static str,
    pub(crate) purpose: &'static str,
    /// Whether no cluster works without the feature.
    pub(crate) essential: bool,
}

/// All features that a cluster needs.
pub(in super::super) const FEATURES: [Feature; 8] = [
    Feature {
        name: "overlay",
        options: &["OVERLAY_FS"],
        module: "overlay",
        purpose: "containers' file systems",
        essential: true,
    },
    Feature { name: "bridge", options: &["BRIDGE"], module: "bridge", purpose: "the network of pods", essential: true },
    Feature { name: "veth", options: &["VETH"], module: "veth", purpose: "the network of pods", essential: true },
    Feature {
        name: "nat",
        options: &["NF_NAT"],
        module: "nf_nat",
        purpose: "services and published ports",
        essential: true,
    },
    Feature {
        name: "nf_tables",
        options: &["NF_TABLES"],
        module: "nf_tables",
        purpose: "iptables over nftables",
        essential: false,
    },
    Feature {
        name: "ip_tables",
        options: &["IP_NF_IPTABLES", "IP_NF_IPTABLES_LEGACY"],
        module: "ip_tables",
        purpose: "the older iptables",
        essential: false,
    },
    Feature {
        name: "xt_comment",
        options: &["NETFILTER_XT_MATCH_COMMENT"],
        module: "xt_comment",
        purpose: "kube-proxy's rules",
        essential: true,
    },
    Feature {
        name: "br_netfilter",
        options: &["BRIDGE_NETFILTER"],
        module: "br_netfilter",
        purpose: "services that lead back to a pod of the same node",
        essential: false,
    },
];

pub(super) fn features(root: &Path, kernel: Option<&str>) -> BTreeMap<String, Support> {
    let release = kernel.unwrap_or_default();
    let config = kernel_config(root, release);
    let modules = root.join("lib/modules").join(release);
    let read = |name: &str| fs::read_to_string(modules.join(name)).ok().filter(|_| !release.is_empty());
    let (builtin, loadable) = (read("modules.builtin"), read("modules.dep"));
    FEATURES
        .iter()
        .map(|feature| {
            let loaded = root.join("sys/module").join(feature.module).is_dir();
            let has = |list: &Option<String>| list.as_ref().is_some_and(|list| lists_module(list, feature.module));
            let support = if loaded || has(&builtin) {
                Support::Present
            } else {
                match config.as_deref().map(|config| configured(config, feature.options)) {
                    Some(Support::Loadable) | None if has(&loadable) => Support::Loadable,
                    // The configuration has the module, but it is not installed on this host.
                    Some(Support::Loadable) if loadable.is_some() => Support::Missing,
                    Some(support) => support,
                    None if loadable.is_some() && builtin.is_some() => Support::Missing,
                    None => Support::Unknown,
                }
            };
            (feature.name.to_owned(), support)
        })
        .collect()
}

fn kernel_config(root: &Path, release: &str) -> Option<String> {
    let plain = fs::read_to_string(root.join(format!("boot/config-{release}"))).ok();
    plain.or_else(|| {
        let mut text = String::new();
        let file = fs::File::open(root.join("proc/config.gz")).ok()?;
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).ok()?;
        Some(text)
    })
}

/// Support of a feature in a kernel configuration.
fn configured(config: &str, options: &[&str]) -> Support {
    let value = |option: &str| {
        config.lines().find_map(|line| line.strip_prefix("CONFIG_")?.strip_prefix(option)?.strip_prefix('='))
    };
    let values: Vec<&str> = options.iter().filter_map(|option| value(option)).collect();
    if values.contains(&"y") {
        Support::Present
    } else if values.contains(&"m") {
        Support::Loadable
    } else {
        Support::Missing
    }
}

/// Whether `modules.builtin` or `modules.dep` lists a module. In file names `-` and `_` are equivalent.
fn lists_module(list: &str, module: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split(".ko").next().unwrap_or_default().replace('-', "_") == module
    })
}
