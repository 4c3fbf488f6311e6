//! Tests with good and bad hosts and engines.

use super::super::facts::{Disk, EngineState, FEATURES, Facts, Host, Support};
use super::facts::{judge, worst};
use super::finding::{Finding, Verdict};
use super::machine::GIB;
use crate::engine::{EngineFacts, Location};

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
fn each_unmet_requirement_has_its_advice() {
    type Change = fn(&mut EngineFacts, &mut Host);
    let cases: [(&str, Verdict, &str, Change); 24] = [
        ("engine", Verdict::Problem, "upgrade it to 23", |engine, _| engine.version = "20.10.24+dfsg1".into()),
        ("platform", Verdict::Problem, "Linux containers", |engine, _| engine.os = "windows".into()),
        ("builds", Verdict::Problem, "docker-buildx", |engine, _| engine.buildx = None),
        ("storage driver", Verdict::Warning, "OpenZFS 2.2", |engine, _| engine.backing_filesystem = "zfs".into()),
        ("storage driver", Verdict::Warning, "OpenZFS 2.2", |engine, _| engine.storage_driver = "zfs".into()),
        ("storage driver", Verdict::Warning, "copies", |engine, _| engine.storage_driver = "vfs".into()),
        ("storage driver", Verdict::Problem, "local disk", |engine, _| engine.backing_filesystem = "nfs".into()),
        ("root", Verdict::Problem, "runs as root", |engine, _| engine.security_options = vec!["name=rootless".into()]),
        ("root", Verdict::Problem, "userns-remap", |engine, _| engine.security_options = vec!["name=userns".into()]),
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
        ("inotify instances", Verdict::Warning, "max_user_instances=512", |_, host| host.inotify_instances = Some(128)),
        ("port of the API", Verdict::Warning, "publish another", |_, host| host.listening = vec![8443]),
        ("CAP_SYS_RESOURCE", Verdict::Warning, "works without", |_, host| host.capabilities = Some(0x1ff_feff_ffff)),
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
fn facts_that_need_no_action() {
    let mut host = host();
    host.nameservers = vec!["127.0.0.53".parse().unwrap()];
    host.resolved_upstreams = true;
    host.features.insert("nf_tables".into(), Support::Missing);
    for support in host.features.values_mut().filter(|support| **support == Support::Present) {
        *support = Support::Unknown;
    }
    host.features.insert("veth".into(), Support::Loadable);
    // A cluster of our own that runs is no reason to stop anything.
    host.listening = vec![8443, 10080];
    host.own_ports = vec![8443, 10080];
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
