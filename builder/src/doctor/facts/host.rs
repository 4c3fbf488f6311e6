//! Reads what a host offers, below a root directory.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::kernel::{Support, features};
use super::procfs::{
    count_cpus, is_initial_user_namespace, parse_capabilities, parse_cgroups, parse_listening, parse_meminfo,
    parse_nameservers,
};

/// Facts about a host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Host {
    pub(crate) kernel: Option<String>,
    pub(crate) cgroup_version: Option<u8>,
    /// Controllers of the root cgroup.
    pub(crate) cgroup_controllers: Vec<String>,
    /// Support of each feature of [`super::kernel::FEATURES`] by name.
    pub(crate) features: BTreeMap<String, Support>,
    pub(crate) kmsg: bool,
    /// The file system that holds the engine's data.
    pub(crate) disk: Option<Disk>,
    pub(crate) memory_total: Option<u64>,
    /// Bytes of memory that are available now.
    pub(crate) memory_available: Option<u64>,
    pub(crate) cpus: Option<usize>,
    /// The sysctl `fs.inotify.max_user_instances`.
    pub(crate) inotify_instances: Option<u64>,
    /// The sysctl `fs.inotify.max_user_watches`.
    pub(crate) inotify_watches: Option<u64>,
    /// TCP ports on which something listens.
    pub(crate) listening: Vec<u16>,
    /// Host ports of kubake's own clusters.
    pub(crate) own_ports: Vec<u16>,
    /// The bounding set of capabilities of this process, as a bit mask.
    pub(crate) capabilities: Option<u64>,
    /// Whether this process runs in the initial user namespace, so that user 0 is the machine's root.
    pub(crate) initial_user_namespace: bool,
    /// The nameservers in `/etc/resolv.conf`.
    pub(crate) nameservers: Vec<IpAddr>,
    /// Whether systemd-resolved has a list of its upstream servers.
    pub(crate) resolved_upstreams: bool,
}

impl Host {
    /// Reads everything except the disk below `root`.
    #[must_use]
    pub(crate) fn read(root: &Path) -> Self {
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
            own_ports: Vec::new(),
            capabilities: text("proc/self/status").and_then(|text| parse_capabilities(&text)),
            initial_user_namespace: text("proc/self/uid_map").is_none_or(|text| is_initial_user_namespace(&text)),
            nameservers: text("etc/resolv.conf").map(|text| parse_nameservers(&text)).unwrap_or_default(),
            resolved_upstreams: root.join("run/systemd/resolve/resolv.conf").exists(),
        }
    }
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
    fn a_host_that_reports_nothing() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::read(root.path());
        assert!(host.features.values().all(|support| *support == Support::Unknown));
        assert_eq!((host.cgroup_version, host.kernel, host.memory_total), (None, None, None));
    }
}
