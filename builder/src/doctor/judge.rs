//! Owns judging: from [`Facts`] to findings, without a look at the host. It knows what a cluster needs and what to do
//! about what is missing; it never gathers and never prints.

use kubake_init::contract::ports;
use serde::{Deserialize, Serialize};

use super::facts::{EngineState, FEATURES, Facts, Feature, Host, Support};
use crate::engine::{EngineFacts, Flavour, Location};

const GIB: u64 = 1 << 30;
/// Sources, build caches, layers and the committed image.
const DISK_TO_BUILD: u64 = 15 * GIB;
/// A baked image and one cluster.
const DISK_TO_RUN: u64 = 3 * GIB;
/// kubeadm's own minimum is 1700 MB; pods come on top.
const MEMORY: u64 = 2 * GIB;
/// A machine that is sold as having 2 GB shows less of it: the kernel keeps some.
const MEMORY_TOLERANCE: u64 = GIB / 4;
/// kubeadm's own minimum.
const CPUS: u64 = 2;
/// What one cluster with its pods uses up, with room; limits count for all clusters of a host together.
const INOTIFY_INSTANCES: u64 = 512;
const INOTIFY_WATCHES: u64 = 65_536;
/// The oldest kernel that Kubernetes supports.
const KERNEL: (u32, u32) = (4, 19);
const CAP_SYS_RESOURCE: u32 = 24;
/// kubelet does not run without these.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but not as well; or cannot be told.
    Warning,
    /// Does not work.
    Problem,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub name: String,
    /// How bad.
    pub verdict: Verdict,
    /// What it is.
    pub value: String,
    /// What to do; empty where nothing needs to be done.
    pub advice: String,
}

fn finding(name: &str, value: impl Into<String>, (verdict, advice): (Verdict, impl Into<String>)) -> Finding {
    Finding { name: name.to_owned(), verdict, value: value.into(), advice: advice.into() }
}

const FINE: (Verdict, &str) = (Verdict::Ok, "");

/// Judges everything.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let engine = match &facts.engine {
        EngineState::Fails(reason) => {
            // The message itself says what to do, after its first sentence.
            let (value, advice) = reason.split_once("; ").unwrap_or((reason, "install or start docker"));
            findings.push(finding("engine", value, (Verdict::Problem, advice)));
            None
        }
        EngineState::Answers(engine) => {
            findings.extend(judge_engine(engine));
            Some(engine.as_ref())
        }
    };
    if let Some(host) = &facts.host {
        findings.extend(judge_host(host, engine));
    }
    findings
}

/// The worst verdict.
#[must_use]
pub fn worst(findings: &[Finding]) -> Verdict {
    findings.iter().map(|finding| finding.verdict).max().unwrap_or(Verdict::Ok)
}

fn judge_engine(engine: &EngineFacts) -> Vec<Finding> {
    let product = match engine.flavour {
        Flavour::Docker => "docker",
        Flavour::Podman => "podman",
    };
    let mut findings = vec![
        finding(
            "engine",
            format!("{product} {}", engine.version),
            match engine.major() {
                Some(major) if major < engine.flavour.oldest_version() => {
                    (Verdict::Problem, format!("upgrade it to {} or newer", engine.flavour.oldest_version()))
                }
                Some(_) => (Verdict::Ok, String::new()),
                None => (Verdict::Warning, "its version cannot be told".to_owned()),
            },
        ),
        finding("platform", format!("{}/{}", engine.os, engine.arch), judge_platform(engine)),
    ];
    let place = match engine.location {
        Location::Here => "this machine".to_owned(),
        Location::VirtualMachine => format!("a virtual machine ({})", engine.operating_system),
        Location::Remote => engine.endpoint.clone(),
    };
    findings.push(finding(
        "place",
        place,
        match engine.location {
            Location::Here => FINE,
            Location::VirtualMachine | Location::Remote => {
                (Verdict::Ok, "only what the engine says of its machine is judged here")
            }
        },
    ));
    findings.push(finding(
        "builds",
        match (engine.builder(), &engine.buildx) {
            (_, Some(version)) => format!("buildx {version}"),
            (Some(_), None) => "built in".to_owned(),
            (None, None) => "no buildx".to_owned(),
        },
        if engine.builder().is_some() {
            FINE
        } else {
            (Verdict::Problem, "install docker-buildx (Docker's own packages: docker-buildx-plugin)")
        },
    ));
    findings.push(finding("storage driver", storage(engine), judge_storage(engine)));
    findings.push(finding(
        "root",
        if engine.rootless() {
            "rootless"
        } else if engine.userns_remap() {
            "user namespaces"
        } else {
            "containers can be the machine's root"
        },
        if engine.rootless() {
            (Verdict::Problem, "use an engine that runs as root: kubelet needs the real one")
        } else if engine.userns_remap() {
            (Verdict::Problem, "start the container with --userns=host, or unset userns-remap in daemon.json")
        } else {
            FINE
        },
    ));
    findings.push(finding("engine's memory", gibibytes(engine.memory), judge_memory(engine.memory)));
    findings.push(finding(
        "engine's cpus",
        engine.cpus.to_string(),
        if engine.cpus < CPUS {
            (Verdict::Warning, "give it 2 or more: the cluster starts slowly with less")
        } else {
            FINE
        },
    ));
    if engine.location != Location::Here {
        findings.push(finding("kernel", engine.kernel.clone(), judge_kernel(&engine.kernel)));
        findings.push(finding(
            "cgroup",
            format!("v{}, driver {}", engine.cgroup_version, engine.cgroup_driver),
            judge_cgroup_version(Some(engine.cgroup_version)),
        ));
    }
    for warning in &engine.warnings {
        // What it does not do for v1 is what the cgroup finding says already.
        if !warning.contains("cgroup v1") {
            findings.push(finding("engine's warning", warning.trim_start_matches("WARNING: "), (Verdict::Warning, "")));
        }
    }
    findings
}

fn judge_platform(engine: &EngineFacts) -> (Verdict, &'static str) {
    if engine.os != "linux" {
        (Verdict::Problem, "switch the engine to Linux containers")
    } else if !matches!(engine.arch.as_str(), "amd64" | "arm64") {
        (Verdict::Warning, "nobody has tried this architecture")
    } else {
        FINE
    }
}

fn storage(engine: &EngineFacts) -> String {
    let mut text = engine.storage_driver.clone();
    if engine.containerd_snapshotter {
        text.push_str(" (containerd's store)");
    }
    if !engine.backing_filesystem.is_empty() {
        text.push_str(&format!(" on {}", engine.backing_filesystem));
    }
    text
}

fn judge_storage(engine: &EngineFacts) -> (Verdict, &'static str) {
    let backing = engine.backing_filesystem.to_ascii_lowercase();
    match engine.storage_driver.as_str() {
        _ if backing == "zfs" || engine.storage_driver == "zfs" => (
            Verdict::Warning,
            "overlay works on ZFS from OpenZFS 2.2 on; if pods fail to start, put the engine's data (data-root) on ext4 or xfs",
        ),
        _ if backing.contains("nfs") || backing.contains("fuse") => {
            (Verdict::Problem, "put the engine's data (data-root) on a local disk with ext4 or xfs")
        }
        "overlay2" | "overlayfs" | "overlay" => FINE,
        "vfs" => (
            Verdict::Warning,
            "every container copies its whole image; let the engine use overlay2, or `docker run` takes long and much disk",
        ),
        "fuse-overlayfs" => (Verdict::Warning, "slow; overlay2 is better where the kernel has it"),
        "btrfs" => (Verdict::Warning, "not tried often; if pods fail to start, use overlay2 on ext4 or xfs"),
        _ => (Verdict::Warning, "nobody has tried this storage driver; overlay2 is the usual one"),
    }
}

fn judge_memory(bytes: u64) -> (Verdict, &'static str) {
    if bytes + MEMORY_TOLERANCE < MEMORY {
        (Verdict::Problem, "the cluster alone needs 2 GB; add memory")
    } else {
        FINE
    }
}

fn judge_kernel(release: &str) -> (Verdict, &'static str) {
    let mut parts = release.split(|character: char| !character.is_ascii_digit()).map(str::parse::<u32>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= KERNEL => FINE,
        (Some(Ok(_)), Some(Ok(_))) => (Verdict::Problem, "upgrade it: Kubernetes needs 4.19 or newer"),
        _ => (Verdict::Warning, "its version cannot be told; Kubernetes needs 4.19 or newer"),
    }
}

fn judge_cgroup_version(version: Option<u8>) -> (Verdict, &'static str) {
    match version {
        Some(2) => FINE,
        Some(1) => (
            Verdict::Warning,
            "works, but Kubernetes is leaving cgroup v1; boot with systemd.unified_cgroup_hierarchy=1",
        ),
        _ => (Verdict::Warning, "cannot be told"),
    }
}

fn judge_host(host: &Host, engine: Option<&EngineFacts>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let kernel = host.kernel.clone().unwrap_or_default();
    findings.push(finding("kernel", or_unknown(&kernel), judge_kernel(&kernel)));
    findings.push(judge_cgroup(host, engine));
    findings.extend(FEATURES.iter().map(|feature| judge_feature(host, feature)));
    findings.push(judge_iptables(host));
    findings.push(finding(
        "/dev/kmsg",
        if host.kmsg { "present" } else { "missing" },
        if host.kmsg {
            FINE
        } else {
            (Verdict::Warning, "kubelet reads it; a privileged container makes it itself unless this host is a container that may not: then `mknod /dev/kmsg c 1 11` here")
        },
    ));
    findings.push(match &host.disk {
        Some(disk) => finding(
            "disk",
            format!(
                "{} free of {} at {} ({})",
                gibibytes(disk.free),
                gibibytes(disk.total),
                disk.path,
                disk.filesystem
            ),
            judge_disk(disk.free),
        ),
        None => finding(
            "disk",
            "unknown",
            (Verdict::Warning, "building needs 15 GB free where the engine keeps its data, running 3 GB"),
        ),
    });
    if engine.is_none() {
        if let Some(memory) = host.memory_total {
            findings.push(finding("memory", gibibytes(memory), judge_memory(memory)));
        }
    }
    if let Some(available) = host.memory_available {
        findings.push(finding(
            "free memory",
            gibibytes(available),
            if available + MEMORY_TOLERANCE < MEMORY {
                (Verdict::Warning, "a cluster needs 2 GB; stop something else first")
            } else {
                FINE
            },
        ));
    }
    findings.push(judge_limit("inotify instances", "max_user_instances", host.inotify_instances, INOTIFY_INSTANCES));
    findings.push(judge_limit("inotify watches", "max_user_watches", host.inotify_watches, INOTIFY_WATCHES));
    for (name, port) in [("port of the API", ports::API), ("port of the status page", ports::HTTP)] {
        let taken = host.listening.contains(&port);
        findings.push(finding(
            name,
            format!("{port} {}", if taken { "in use" } else { "free" }),
            if taken {
                (Verdict::Warning, "publish another one, or stop what listens there (`ss -ltnp`)")
            } else {
                FINE
            },
        ));
    }
    let limited = host.capabilities.is_some_and(|set| set >> CAP_SYS_RESOURCE & 1 == 0);
    if limited {
        findings.push(finding(
            "CAP_SYS_RESOURCE",
            "missing",
            (Verdict::Warning, "kubake gets along without; Docker before 23 does not run privileged containers here"),
        ));
    }
    if !host.initial_user_namespace {
        findings.push(finding(
            "user namespace",
            "this is not the machine's root",
            (Verdict::Warning, "the engine must run in the machine's own user namespace for kubelet to work"),
        ));
    }
    findings.push(judge_dns(host));
    findings
}

fn judge_cgroup(host: &Host, engine: Option<&EngineFacts>) -> Finding {
    let mut value = match host.cgroup_version {
        Some(version) => format!("v{version}"),
        None => "unknown".to_owned(),
    };
    if let Some(engine) = engine {
        value.push_str(&format!(", driver {}", engine.cgroup_driver));
    }
    let missing: Vec<&str> = CONTROLLERS
        .into_iter()
        .filter(|name| !host.cgroup_controllers.iter().any(|controller| controller == name))
        .collect();
    if host.cgroup_version.is_some() && !missing.is_empty() {
        let missing = missing.join(", ");
        let advice = format!("enable them: boot without cgroup_disable, or delegate them to this cgroup ({missing})");
        return finding("cgroup", format!("{value}, without {missing}"), (Verdict::Problem, advice));
    }
    finding("cgroup", value, judge_cgroup_version(host.cgroup_version))
}

fn support(host: &Host, name: &str) -> Support {
    host.features.get(name).copied().unwrap_or(Support::Unknown)
}

fn judge_feature(host: &Host, feature: &Feature) -> Finding {
    let support = support(host, feature.name);
    let value = match support {
        Support::Present => "present",
        Support::Loadable => "module, not loaded",
        Support::Missing => "missing",
        Support::Unknown => "unknown",
    };
    let judged = match support {
        // Whether it really is there shows when it is used; nothing that a person should do about it now.
        Support::Present | Support::Unknown => (Verdict::Ok, String::new()),
        Support::Loadable => (Verdict::Ok, format!("loaded when it is needed; else `modprobe {}`", feature.module)),
        Support::Missing if feature.essential => {
            (Verdict::Problem, format!("use a kernel with CONFIG_{}: {} need it", feature.options[0], feature.purpose))
        }
        Support::Missing if matches!(feature.name, "nf_tables" | "ip_tables") => (Verdict::Ok, String::new()),
        Support::Missing => {
            (Verdict::Warning, format!("without CONFIG_{} this may fail: {}", feature.options[0], feature.purpose))
        }
    };
    finding(&format!("kernel: {}", feature.name), value, judged)
}

/// One of the two iptables is enough.
fn judge_iptables(host: &Host) -> Finding {
    let (new, old) = (support(host, "nf_tables"), support(host, "ip_tables"));
    if (new, old) == (Support::Missing, Support::Missing) {
        finding("iptables", "neither kind", (Verdict::Problem, "use a kernel with CONFIG_NF_TABLES: services need it"))
    } else if new == Support::Missing {
        finding("iptables", "only the older kind", (Verdict::Ok, ""))
    } else {
        finding("iptables", "over nftables", FINE)
    }
}

fn judge_disk(free: u64) -> (Verdict, &'static str) {
    if free < DISK_TO_RUN {
        (Verdict::Problem, "free at least 3 GB (`docker system prune`); pods are evicted when the disk runs full")
    } else if free < DISK_TO_BUILD {
        (Verdict::Warning, "enough to run a cluster; free 15 GB to build an image")
    } else {
        FINE
    }
}

fn judge_limit(name: &str, sysctl: &str, value: Option<u64>, needed: u64) -> Finding {
    match value {
        Some(value) if value < needed => finding(
            name,
            value.to_string(),
            (
                Verdict::Warning,
                format!("kubake raises it at boot where it may; else `sysctl -w fs.inotify.{sysctl}={needed}`"),
            ),
        ),
        Some(value) => finding(name, value.to_string(), FINE),
        None => finding(name, "unknown", FINE),
    }
}

fn judge_dns(host: &Host) -> Finding {
    let servers: Vec<String> = host.nameservers.iter().map(ToString::to_string).collect();
    let value = if servers.is_empty() { "no nameserver".to_owned() } else { servers.join(", ") };
    let loopback = host.nameservers.iter().all(std::net::IpAddr::is_loopback);
    let advice = if servers.is_empty() {
        "containers will ask public servers; name yours in /etc/resolv.conf or in daemon.json (`dns`)"
    } else {
        "containers cannot reach this host's loopback and will ask public servers; name yours in daemon.json (`dns`)"
    };
    // The engine itself reads systemd-resolved's list of the servers behind it.
    finding("DNS", value, if loopback && !host.resolved_upstreams { (Verdict::Warning, advice) } else { FINE })
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

/// Bytes with one digit after the point, rounded down, in the unit that people compare disks in.
fn gibibytes(bytes: u64) -> String {
    let tenths = bytes / (GIB / 10);
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::super::facts::Disk;
    use super::*;

    fn engine() -> EngineFacts {
        EngineFacts {
            version: "28.2.2".into(),
            client_version: "28.2.2".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            kernel: "6.12.1".into(),
            cgroup_version: 2,
            cgroup_driver: "systemd".into(),
            storage_driver: "overlay2".into(),
            backing_filesystem: "extfs".into(),
            buildx: Some("0.20".into()),
            cpus: 4,
            memory: 8 * GIB,
            ..EngineFacts::default()
        }
    }

    fn host() -> Host {
        Host {
            kernel: Some("6.12.1".into()),
            cgroup_version: Some(2),
            cgroup_controllers: ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).into(),
            features: FEATURES.iter().map(|feature| (feature.name.to_owned(), Support::Present)).collect(),
            kmsg: true,
            disk: Some(Disk {
                path: "/var/lib/docker".into(),
                filesystem: "ext4".into(),
                free: 50 * GIB,
                total: 100 * GIB,
            }),
            memory_total: Some(8 * GIB),
            memory_available: Some(6 * GIB),
            cpus: Some(4),
            inotify_instances: Some(8192),
            inotify_watches: Some(524_288),
            capabilities: Some(0x1ff_ffff_ffff),
            initial_user_namespace: true,
            nameservers: vec!["10.0.0.2".parse().unwrap()],
            ..Host::default()
        }
    }

    fn facts(engine: EngineFacts, host: Host) -> Facts {
        Facts { engine: EngineState::Answers(Box::new(engine)), host: Some(host) }
    }

    #[test]
    fn a_good_host_has_nothing_to_say() {
        let findings = judge(&facts(engine(), host()));
        assert_eq!(worst(&findings), Verdict::Ok, "{findings:#?}");
    }

    #[test]
    fn everything_that_can_be_wrong() {
        type Change = fn(&mut EngineFacts, &mut Host);
        let cases: [(&str, Verdict, &str, Change); 24] = [
            ("engine", Verdict::Problem, "upgrade it to 23", |engine, _| engine.version = "20.10.24+dfsg1".into()),
            ("platform", Verdict::Problem, "Linux containers", |engine, _| engine.os = "windows".into()),
            ("builds", Verdict::Problem, "docker-buildx", |engine, _| engine.buildx = None),
            ("storage driver", Verdict::Warning, "OpenZFS 2.2", |engine, _| engine.backing_filesystem = "zfs".into()),
            ("storage driver", Verdict::Warning, "OpenZFS 2.2", |engine, _| engine.storage_driver = "zfs".into()),
            ("storage driver", Verdict::Warning, "copies", |engine, _| engine.storage_driver = "vfs".into()),
            ("storage driver", Verdict::Problem, "local disk", |engine, _| engine.backing_filesystem = "nfs".into()),
            ("root", Verdict::Problem, "runs as root", |engine, _| {
                engine.security_options = vec!["name=rootless".into()]
            }),
            ("root", Verdict::Problem, "--userns=host", |engine, _| {
                engine.security_options = vec!["name=userns".into()]
            }),
            ("engine's memory", Verdict::Problem, "2 GB", |engine, _| engine.memory = GIB),
            ("engine's cpus", Verdict::Warning, "2 or more", |engine, _| engine.cpus = 1),
            ("kernel", Verdict::Problem, "4.19", |_, host| host.kernel = Some("4.4.0-210".into())),
            ("cgroup", Verdict::Warning, "leaving cgroup v1", |_, host| host.cgroup_version = Some(1)),
            ("cgroup", Verdict::Problem, "(memory)", |_, host| host.cgroup_controllers.retain(|name| name != "memory")),
            ("kernel: veth", Verdict::Problem, "CONFIG_VETH", |_, host| {
                host.features.insert("veth".into(), Support::Missing);
            }),
            ("kernel: br_netfilter", Verdict::Warning, "same node", |_, host| {
                host.features.insert("br_netfilter".into(), Support::Missing);
            }),
            ("iptables", Verdict::Problem, "CONFIG_NF_TABLES", |_, host| {
                host.features.insert("nf_tables".into(), Support::Missing);
                host.features.insert("ip_tables".into(), Support::Missing);
            }),
            ("/dev/kmsg", Verdict::Warning, "mknod", |_, host| host.kmsg = false),
            ("disk", Verdict::Warning, "15 GB", |_, host| host.disk.as_mut().unwrap().free = 10 * GIB),
            ("disk", Verdict::Problem, "3 GB", |_, host| host.disk.as_mut().unwrap().free = GIB),
            ("inotify instances", Verdict::Warning, "max_user_instances=512", |_, host| {
                host.inotify_instances = Some(128)
            }),
            ("port of the API", Verdict::Warning, "publish another", |_, host| host.listening = vec![8443]),
            ("CAP_SYS_RESOURCE", Verdict::Warning, "gets along", |_, host| host.capabilities = Some(0x1ff_feff_ffff)),
            ("DNS", Verdict::Warning, "loopback", |_, host| host.nameservers = vec!["127.0.0.53".parse().unwrap()]),
        ];
        for (name, verdict, advice, change) in cases {
            let (mut engine, mut host) = (engine(), host());
            change(&mut engine, &mut host);
            let findings = judge(&facts(engine, host));
            let bad: Vec<&Finding> = findings.iter().filter(|finding| finding.verdict != Verdict::Ok).collect();
            assert_eq!(bad.len(), 1, "{name}: {bad:#?}");
            assert_eq!((bad[0].name.as_str(), bad[0].verdict), (name, verdict));
            assert!(bad[0].advice.contains(advice), "{name}: {}", bad[0].advice);
        }
    }

    #[test]
    fn what_is_no_cause_for_worry() {
        let mut host = host();
        host.nameservers = vec!["127.0.0.53".parse().unwrap()];
        host.resolved_upstreams = true;
        host.features.insert("nf_tables".into(), Support::Missing);
        for support in host.features.values_mut().filter(|support| **support == Support::Present) {
            *support = Support::Unknown;
        }
        host.features.insert("veth".into(), Support::Loadable);
        assert_eq!(worst(&judge(&facts(engine(), host))), Verdict::Ok);
    }

    #[test]
    fn no_engine_is_one_problem_with_its_advice() {
        let error = crate::engine::EngineError::NotInstalled;
        let findings = judge(&Facts { engine: EngineState::Fails(error.to_string()), host: Some(host()) });
        assert_eq!(findings[0].verdict, Verdict::Problem);
        assert_eq!(findings[0].value, "no container engine: neither `docker` nor `podman` is on PATH");
        assert!(findings[0].advice.starts_with("install one"), "{}", findings[0].advice);
        assert_eq!(findings.iter().filter(|finding| finding.verdict == Verdict::Problem).count(), 1);
    }

    #[test]
    fn of_a_remote_engine_only_the_engine_is_judged() {
        let engine = EngineFacts { location: Location::Remote, endpoint: "tcp://docker:2375".into(), ..engine() };
        let findings = judge(&Facts { engine: EngineState::Answers(Box::new(engine)), host: None });
        assert!(findings.iter().any(|finding| finding.value == "tcp://docker:2375"));
        assert!(findings.iter().all(|finding| finding.name != "disk"));
        assert_eq!(worst(&findings), Verdict::Ok);
    }
}
