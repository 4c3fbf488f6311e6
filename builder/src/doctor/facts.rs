//! Owns gathering what a host offers: reads `/proc`, `/sys` and `/etc` below a root directory. It judges nothing,
//! and changes nothing. What cannot be read is `None` or unknown, never an error.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::engine::{Engine, EngineError, EngineFacts, Location, Runner};

/// What the engine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineState {
    /// It answers.
    Answers(Box<EngineFacts>),
    /// It does not, and why.
    Fails(String),
}

/// Whether the kernel can do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Support {
    /// Built in, or a loaded module.
    Present,
    /// A module that can be loaded.
    Loadable,
    /// Not there.
    Missing,
    /// The host does not tell.
    Unknown,
}

/// The file system that holds the engine's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The engine's root directory.
    pub path: String,
    /// Such as `ext4`.
    pub filesystem: String,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
}

/// Everything that is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The engine.
    pub engine: EngineState,
    /// What the kernel of this host says; `None` where the engine runs elsewhere, and this host does not matter.
    pub host: Option<Host>,
}

/// What the kernel of a host says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Its release.
    pub kernel: Option<String>,
    /// 1 or 2.
    pub cgroup_version: Option<u8>,
    /// Controllers of its root cgroup.
    pub cgroup_controllers: Vec<String>,
    /// What it can do, by the names in [`FEATURES`].
    pub features: BTreeMap<String, Support>,
    /// Whether there is a `/dev/kmsg`.
    pub kmsg: bool,
    /// Where the engine keeps its data.
    pub disk: Option<Disk>,
    /// Bytes of memory.
    pub memory_total: Option<u64>,
    /// Bytes of memory that can be had now.
    pub memory_available: Option<u64>,
    /// CPUs.
    pub cpus: Option<usize>,
    /// `fs.inotify.max_user_instances`.
    pub inotify_instances: Option<u64>,
    /// `fs.inotify.max_user_watches`.
    pub inotify_watches: Option<u64>,
    /// TCP ports on which something listens.
    pub listening: Vec<u16>,
    /// Capabilities that this process could have.
    pub capabilities: Option<u64>,
    /// Whether user 0 is the machine's root.
    pub initial_user_namespace: bool,
    /// `/etc/resolv.conf`.
    pub nameservers: Vec<IpAddr>,
    /// Whether systemd-resolved keeps a list of the servers behind its own.
    pub resolved_upstreams: bool,
}

/// A thing that the kernel has to be able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its name for people.
    pub name: &'static str,
    /// Options of the kernel's configuration, any of which is enough.
    pub options: &'static [&'static str],
    /// The module.
    pub module: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Whether nothing works without.
    pub essential: bool,
}

/// What the kernel has to be able to do.
pub const FEATURES: [Feature; 8] = [
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

/// Asks the engine and reads the host.
#[must_use]
pub fn gather(runner: &Runner) -> Facts {
    of(Engine::detect(runner.clone()))
}

/// Reads the host that an engine runs on.
#[must_use]
pub fn of(engine: Result<Engine, EngineError>) -> Facts {
    match engine {
        Err(error) => Facts { engine: EngineState::Fails(error.to_string()), host: Some(Host::read(Path::new("/"))) },
        Ok(engine) => {
            let facts = engine.facts().clone();
            let host = (facts.location == Location::Here).then(|| {
                let disk = disk(Path::new(&facts.root_dir));
                Host { disk, ..Host::read(Path::new("/")) }
            });
            Facts { engine: EngineState::Answers(Box::new(facts)), host }
        }
    }
}

/// The file system that holds a path: the one with the longest mount point.
fn disk(path: &Path) -> Option<Disk> {
    let disks = sysinfo::Disks::new_with_refreshed_list();
    let disk = disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())?;
    Some(Disk {
        path: path.display().to_string(),
        filesystem: disk.file_system().to_string_lossy().into_owned(),
        free: disk.available_space(),
        total: disk.total_space(),
    })
}

impl Host {
    /// Reads everything but the disk below `root`.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let number = |path: &str| text(path).and_then(|text| text.trim().parse().ok());
        let kernel = text("proc/sys/kernel/osrelease").map(|text| text.trim().to_owned());
        let unified = text("sys/fs/cgroup/cgroup.controllers");
        let (cgroup_version, cgroup_controllers) = match unified {
            Some(text) => (Some(2), text.split_whitespace().map(str::to_owned).collect()),
            None => match text("proc/cgroups") {
                Some(text) => (Some(1), parse_cgroups(&text)),
                None => (None, Vec::new()),
            },
        };
        let meminfo = text("proc/meminfo").unwrap_or_default();
        let mut listening = [text("proc/net/tcp"), text("proc/net/tcp6")]
            .into_iter()
            .flatten()
            .flat_map(|text| parse_listening(&text))
            .collect::<Vec<u16>>();
        listening.sort_unstable();
        listening.dedup();
        Self {
            features: features(root, kernel.as_deref()),
            kernel,
            cgroup_version,
            cgroup_controllers,
            kmsg: root.join("dev/kmsg").exists(),
            disk: None,
            memory_total: parse_meminfo(&meminfo, "MemTotal"),
            memory_available: parse_meminfo(&meminfo, "MemAvailable"),
            cpus: text("proc/cpuinfo").map(|text| count_cpus(&text)).filter(|cpus| *cpus > 0),
            inotify_instances: number("proc/sys/fs/inotify/max_user_instances"),
            inotify_watches: number("proc/sys/fs/inotify/max_user_watches"),
            listening,
            capabilities: text("proc/self/status").and_then(|text| parse_capabilities(&text)),
            initial_user_namespace: text("proc/self/uid_map").is_none_or(|text| is_initial_user_namespace(&text)),
            nameservers: text("etc/resolv.conf").map(|text| parse_nameservers(&text)).unwrap_or_default(),
            resolved_upstreams: root.join("run/systemd/resolve/resolv.conf").exists(),
        }
    }
}

fn features(root: &Path, kernel: Option<&str>) -> BTreeMap<String, Support> {
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
                    // A module that the kernel's makers made, but that is not installed here.
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

/// What a kernel's configuration says of a feature.
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

/// Whether `modules.builtin` or `modules.dep` names a module; in file names `-` and `_` are the same.
fn lists_module(list: &str, module: &str) -> bool {
    list.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        file.split(".ko").next().unwrap_or_default().replace('-', "_") == module
    })
}

/// Enabled controllers in `/proc/cgroups`.
fn parse_cgroups(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&"1"))
        .filter_map(|fields| fields.first().map(|name| (*name).to_owned()))
        .collect()
}

/// A value of `/proc/meminfo` in bytes.
fn parse_meminfo(text: &str, key: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    value.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

fn count_cpus(cpuinfo: &str) -> usize {
    cpuinfo.lines().filter(|line| line.starts_with("processor")).count()
}

/// Ports of `/proc/net/tcp` on which something listens.
fn parse_listening(text: &str) -> Vec<u16> {
    const LISTEN: &str = "0A";
    text.lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(3) == Some(&LISTEN))
        .filter_map(|fields| u16::from_str_radix(fields.get(1)?.rsplit_once(':')?.1, 16).ok())
        .collect()
}

/// The bounding set in `/proc/self/status`.
fn parse_capabilities(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

fn is_initial_user_namespace(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn parse_nameservers(resolv_conf: &str) -> Vec<IpAddr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        // A link-local address may carry its interface.
        .filter_map(|value| value.trim().split('%').next()?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_host_with_cgroup_v2_and_modules() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "proc/sys/kernel/osrelease", "6.12.1\n");
        write(root, "sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n");
        write(root, "proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\nMemAvailable:    1024 kB\n");
        write(root, "proc/cpuinfo", "processor\t: 0\nmodel: x\nprocessor\t: 1\n");
        write(root, "proc/sys/fs/inotify/max_user_instances", "128\n");
        write(
            root,
            "proc/net/tcp",
            "  sl  local_address rem_address   st\n   0: 00000000:20FB 00000000:0000 0A 0\n   1: 0100007F:1F90 0100007F:0001 01 0\n",
        );
        write(root, "proc/self/status", "Name:\tx\nCapBnd:\t000001fffeffffff\n");
        write(root, "proc/self/uid_map", "         0          0 4294967295\n");
        write(root, "etc/resolv.conf", "# x\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch a\n");
        write(root, "lib/modules/6.12.1/modules.builtin", "kernel/net/bridge/bridge.ko\n");
        write(
            root,
            "lib/modules/6.12.1/modules.dep",
            "kernel/drivers/net/veth.ko.xz: \nkernel/net/netfilter/nf-nat.ko: a.ko\n",
        );
        fs::create_dir_all(root.join("sys/module/overlay")).unwrap();
        let host = Host::read(root);
        assert_eq!((host.cgroup_version, host.cgroup_controllers.len()), (Some(2), 5));
        assert_eq!((host.memory_total, host.memory_available), (Some(2 << 20), Some(1 << 20)));
        assert_eq!((host.cpus, host.inotify_instances, host.inotify_watches), (Some(2), Some(128), None));
        assert_eq!(host.listening, [8443]);
        assert_eq!(host.capabilities, Some(0x1ff_feff_ffff));
        assert!(host.initial_user_namespace && !host.kmsg);
        assert_eq!(host.nameservers.len(), 2);
        let support = |name: &str| host.features[name];
        assert_eq!(support("overlay"), Support::Present);
        assert_eq!(support("bridge"), Support::Present);
        assert_eq!(support("veth"), Support::Loadable);
        assert_eq!(support("nat"), Support::Loadable);
        assert_eq!(support("br_netfilter"), Support::Missing);
    }

    #[test]
    fn a_host_with_cgroup_v1_and_a_compressed_configuration() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "proc/cgroups", "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpu\t1\t2\t1\nhugetlb\t0\t1\t0\n");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gzip, b"CONFIG_VETH=y\nCONFIG_NF_TABLES=m\n# CONFIG_BRIDGE is not set\n")
            .unwrap();
        fs::write(root.join("proc/config.gz"), gzip.finish().unwrap()).unwrap();
        let host = Host::read(root);
        assert_eq!((host.cgroup_version, host.cgroup_controllers), (Some(1), vec!["cpu".to_owned()]));
        assert_eq!(host.features["veth"], Support::Present);
        assert_eq!(host.features["nf_tables"], Support::Loadable);
        assert_eq!(host.features["bridge"], Support::Missing);
    }

    #[test]
    fn a_host_that_tells_nothing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::read(root.path());
        assert!(host.features.values().all(|support| *support == Support::Unknown));
        assert_eq!((host.cgroup_version, host.kernel, host.memory_total), (None, None, None));
    }
}
