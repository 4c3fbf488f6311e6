//! Judges the facts about the engine.

use super::finding::{FINE, Finding, Verdict, finding};
use super::machine::{gibibytes, judge_cgroup_version, judge_kernel, judge_memory};
use crate::engine::{EngineFacts, Location};

/// The minimum of kubeadm.
const CPUS: u64 = 2;

pub(super) fn judge_engine(engine: &EngineFacts) -> Vec<Finding> {
    let mut findings = vec![
        finding(
            "engine",
            format!("{} {}", engine.flavour.command(), engine.version),
            match engine.major() {
                Some(major) if major < engine.flavour.oldest_version() => {
                    (Verdict::Problem, format!("upgrade it to {} or newer", engine.flavour.oldest_version()))
                }
                Some(_) => (Verdict::Ok, String::new()),
                None => (Verdict::Warning, "its version is unknown".to_owned()),
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
                (Verdict::Ok, "only the facts that the engine reports are judged")
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
            (Verdict::Problem, "use an engine that runs as root: kubelet needs the real root")
        } else if engine.userns_remap() {
            (
                Verdict::Problem,
                "unset userns-remap in daemon.json, or use another engine: a node needs the machine's own root",
            )
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
        // The cgroup finding already says this.
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
        (Verdict::Warning, "kubake is not tested on this architecture")
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
            "every container copies its whole image; let the engine use overlay2, or starting a container takes long and much disk",
        ),
        "fuse-overlayfs" => (Verdict::Warning, "slow; overlay2 is better where the kernel has it"),
        "btrfs" => (Verdict::Warning, "rarely tested; if pods fail to start, use overlay2 on ext4 or xfs"),
        _ => (Verdict::Warning, "kubake is not tested on this storage driver; use overlay2"),
    }
}
