//! Judges the facts about the host.

use kubake_contract::ports;

use super::super::facts::{FEATURES, Feature, Host, Support};
use super::finding::{FINE, Finding, Verdict, finding};
use super::machine::{GIB, MEMORY, MEMORY_TOLERANCE, gibibytes, judge_cgroup_version, judge_kernel, judge_memory};
use crate::engine::EngineFacts;

/// Sources, build caches, layers and the committed image.
const DISK_TO_BUILD: u64 = 15 * GIB;
/// A baked image and one cluster.
const DISK_TO_RUN: u64 = 3 * GIB;
/// Need of one cluster with its pods, with a reserve. The limits count for all clusters of a host together.
const INOTIFY_INSTANCES: u64 = 512;
const INOTIFY_WATCHES: u64 = 65_536;
const CAP_SYS_RESOURCE: u32 = 24;
/// Controllers that kubelet needs.
const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

pub(super) fn judge_host(host: &Host, engine: Option<&EngineFacts>) -> Vec<Finding> {
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
            (Verdict::Warning, "kubelet reads it; a privileged container creates it, unless this host is itself a container without that right: then run `mknod /dev/kmsg c 1 11` here")
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
            judge_disk(disk.free, engine.map_or("docker", |engine| engine.flavour.command())),
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
                (Verdict::Warning, "a cluster needs 2 GB; stop other programs first")
            } else {
                FINE
            },
        ));
    }
    findings.push(judge_limit("inotify instances", "max_user_instances", host.inotify_instances, INOTIFY_INSTANCES));
    findings.push(judge_limit("inotify watches", "max_user_watches", host.inotify_watches, INOTIFY_WATCHES));
    for (name, port) in [("port of the API", ports::API), ("port of the status page", ports::HTTP)] {
        let taken = host.listening.contains(&port);
        let is_own = host.own_ports.contains(&port);
        findings.push(finding(
            name,
            format!(
                "{port} {}",
                if is_own {
                    "in use by a cluster of kubake"
                } else if taken {
                    "in use"
                } else {
                    "free"
                }
            ),
            if taken && !is_own {
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
            (Verdict::Warning, "kubake works without it; Docker before 23 does not run privileged containers here"),
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
        // An unknown feature shows when it is used; the user need not do anything now.
        Support::Present | Support::Unknown => (Verdict::Ok, String::new()),
        Support::Loadable => {
            (Verdict::Ok, format!("loaded when it is needed; otherwise run `modprobe {}`", feature.module))
        }
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

/// One of the two kinds of iptables is sufficient.
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

fn judge_disk(free: u64, command: &str) -> (Verdict, String) {
    if free < DISK_TO_RUN {
        (
            Verdict::Problem,
            format!("free at least 3 GB (`{command} system prune`); pods are evicted when the disk is full"),
        )
    } else if free < DISK_TO_BUILD {
        (Verdict::Warning, "enough to run a cluster; free 15 GB to build an image".to_owned())
    } else {
        (Verdict::Ok, String::new())
    }
}

fn judge_limit(name: &str, sysctl: &str, value: Option<u64>, needed: u64) -> Finding {
    match value {
        Some(value) if value < needed => finding(
            name,
            value.to_string(),
            (
                Verdict::Warning,
                format!(
                    "kubake raises it at boot if it is permitted to; otherwise run `sysctl -w fs.inotify.{sysctl}={needed}`"
                ),
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
        "containers will ask public servers; set your nameservers in /etc/resolv.conf or in daemon.json (`dns`)"
    } else {
        "containers cannot reach this host's loopback and will ask public servers; set your nameservers in daemon.json (`dns`)"
    };
    // The engine itself reads the list of upstream servers of systemd-resolved.
    finding("DNS", value, if loopback && !host.resolved_upstreams { (Verdict::Warning, advice) } else { FINE })
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}
