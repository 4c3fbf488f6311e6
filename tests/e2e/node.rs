//! What a node offers beyond Kubernetes' API: its image store shared with Docker, names and networks of the engine, extension
//! points of containerd, limits.

use anyhow::{Context, Result, ensure};
use kubake_contract::{Endpoint, ports};
use kubake_e2e::PREFIX;
use kubake_e2e::cluster::{BOOT_PATIENCE, Cluster};
use kubake_e2e::engine::{self, Network};
use kubake_e2e::kubectl::POD_PATIENCE;
use kubake_e2e::lab::lab;
use kubake_e2e::{manifests, poll};
use serde_json::json;

use crate::{Case, PROBE, build_probe, restart};

pub(crate) const CASES: &[Case] = &[
    ("a prune of Docker's in the node removes nothing that Kubernetes runs on", prune),
    ("pods resolve what the engine gave the node, and a pod with host port 53 catches nothing", names),
    ("a running cluster can be connected to the engine's next network, and pods reach it", next_network),
    ("runtimes of /etc/containerd/conf.d and of the default configuration run pods", runtimes),
    ("the helpers of volumes and of AppArmor are there, and names by digest", helpers),
    ("a pod sees its own memory limit", memory_limit),
    ("kube-proxy gets ready in nftables mode, also after a restart", nftables),
];

/// The name of an image that nothing uses.
const UNUSED: &str = "kubake-e2e/unused:1";

fn prune() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("prune")?;
    namespace.apply(manifests::deployment("web", PROBE, "still here", 1))?;
    namespace.wait_ready("web")?;
    kubake_e2e::probe::build(
        crate::probe_program(),
        UNUSED,
        kubake_e2e::probe::Recipe::Plain("unused"),
        Some(&cluster.docker_host()?),
    )?;
    let before = images(&cluster)?;
    ensure!(before.iter().any(|image| image.contains(UNUSED)), "{before:?}");

    let said = cluster.node(&["docker", "system", "prune", "--all", "--force"])?;
    ensure!(said.contains(&format!("untagged: {UNUSED}")), "what nothing uses was not removed: {said}");
    let after = images(&cluster)?;
    let lost: Vec<&String> = before.iter().filter(|name| !after.contains(name) && !name.contains(UNUSED)).collect();
    ensure!(lost.is_empty(), "the prune removed {lost:?}: {said}");

    engine::run(["restart", cluster.container()])?;
    restart::boots_again(&cluster)?;
    let kubectl = cluster.kubectl()?;
    kubectl.run(["rollout", "status", "deployment/web", "--namespace", namespace.name(), "--timeout", "60s"])?;
    Ok(())
}

/// Names of the images in the node's store.
fn images(cluster: &Cluster) -> Result<Vec<String>> {
    let listing = cluster.node(&["ctr", "--namespace", "k8s.io", "images", "ls", "--quiet"])?;
    // Ids are names, too, and go with their image.
    Ok(listing.lines().filter(|name| !name.starts_with("sha256:")).map(str::to_owned).collect())
}

fn names() -> Result<()> {
    let cluster = Cluster::run(lab()?, &format!("{PREFIX}-names"), &["--add-host", "name.internal:172.30.99.1"])?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("names")?;
    let mut catcher = manifests::pod("catcher", PROBE, &["idle"]);
    let port = |protocol: &str| json!({ "containerPort": 53, "hostPort": 53, "protocol": protocol });
    catcher["spec"]["containers"][0]["ports"] = json!([port("UDP"), port("TCP")]);
    namespace.apply(catcher)?;
    namespace.wait_ready("catcher")?;
    let target = format!("name.internal:{}", ports::HTTP);
    let path = Endpoint::KubernetesVersion.path();
    let version = poll::until("the pod resolves the name", POD_PATIENCE, || {
        namespace.run(["exec", "catcher", "--", "/probe", "get", &target, path])
    })?;
    ensure!(version == cluster.fetch(path)?.trim(), "another server answers: {version}");
    Ok(())
}

fn next_network() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    // The engine chooses the range, as for users: it must not be one that the node has.
    let network = Network::create_anywhere(&format!("{PREFIX}-next"))?;
    engine::run(["network", "connect", network.name(), cluster.container()])?;
    let connected = poll::until("the cluster has an address there", BOOT_PATIENCE, || {
        let format = format!("(index .NetworkSettings.Networks {:?}).IPAddress", network.name());
        let address = engine::inspect(cluster.container(), &format)?;
        ensure!(!address.is_empty(), "it has none");
        Ok(address)
    });
    let reached = connected.and_then(|address| {
        let kubectl = cluster.kubectl()?;
        let namespace = kubectl.namespace("next")?;
        namespace.apply(manifests::pod("client", PROBE, &["idle"]))?;
        namespace.wait_ready("client")?;
        let target = format!("{address}:10080");
        namespace.run(["exec", "client", "--", "/probe", "get", &target, Endpoint::KubernetesVersion.path()])
    });
    engine::run(["network", "disconnect", network.name(), cluster.container()])?;
    ensure!(!reached?.is_empty());
    let mtu = cluster.node(&["cat", "/sys/class/net/eth0/mtu"])?;
    let config = cluster.node(&["cat", "/run/kubake/dockerd.json"])?;
    ensure!(config.contains(&format!("\"com.docker.network.driver.mtu\": \"{mtu}\"")), "{config}");
    Ok(())
}

const RUNTIME: &str = "version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.trial]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.trial.options]
BinaryName = '/usr/bin/runc'
";

fn runtimes() -> Result<()> {
    let directory = lab()?.directory()?;
    let file = directory.path().join("trial.toml");
    std::fs::write(&file, RUNTIME).context("cannot write the runtime's file")?;
    let mount = format!("--volume={}:/etc/containerd/conf.d/trial.toml:ro", file.display());
    let cluster = Cluster::run(lab()?, &format!("{PREFIX}-runtimes"), &[&mount])?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("runtimes")?;
    for handler in ["trial", "runc"] {
        let class = json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": handler }, "handler": handler });
        kubectl.apply(&class)?;
        let mut pod = manifests::pod(handler, PROBE, &["say", "hello"]);
        pod["spec"]["runtimeClassName"] = handler.into();
        namespace.apply(pod)?;
        ensure!(namespace.wait_done(handler)? == "hello");
    }
    cluster.node(&["test", "-S", "/var/run/nri/nri.sock"]).context("there is no socket of NRI")?;
    let list = cluster.node(&["sh", "-c", "cat /etc/cni/net.d/*.conflist"])?;
    ensure!(list.contains("portmap"), "{list}");
    Ok(())
}

fn helpers() -> Result<()> {
    let cluster = lab()?.shared()?;
    let commands: [&[&str]; 5] = [
        &["mount.nfs", "-V"],
        &["mkfs.ext4", "-V"],
        &["mkfs.xfs", "-V"],
        &["xfs_repair", "-V"],
        &["apparmor_parser", "--version"],
    ];
    for command in commands {
        cluster.node(command)?;
    }
    // A repository and the digest of an image that is in the node, with a tag and without.
    let listing = cluster.node(&["ctr", "--namespace", "k8s.io", "images", "ls", "--quiet"])?;
    let pinned = listing.lines().filter(|name| name.contains("/coredns@sha256:")).count();
    ensure!(pinned == 1, "the control plane's images have no names by digest: {listing}");
    Ok(())
}

fn memory_limit() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("limit")?;
    let is_v2 = cluster.node(&["test", "-e", "/sys/fs/cgroup/cgroup.controllers"]).is_ok();
    let file = if is_v2 { "/sys/fs/cgroup/memory.max" } else { "/sys/fs/cgroup/memory/memory.limit_in_bytes" };
    let mut pod = manifests::pod("limited", PROBE, &["read", file]);
    pod["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "128Mi" } });
    namespace.apply(pod)?;
    let limit = namespace.wait_done("limited")?;
    ensure!(limit.trim() == "134217728", "it sees {limit:?}");
    Ok(())
}

fn nftables() -> Result<()> {
    let cluster = Cluster::run(lab()?, &format!("{PREFIX}-nftables"), &[])?;
    let kubectl = cluster.kubectl()?;
    let map = kubectl.json(["get", "configmap", "kube-proxy", "--namespace", "kube-system"])?;
    let config = map["data"]["config.conf"].as_str().context("kube-proxy has no configuration")?;
    let patch = json!({ "data": { "config.conf": config.replace("mode: iptables", "mode: nftables") } });
    let patch = patch.to_string();
    let own = ["--namespace", "kube-system"];
    kubectl.run(["patch", "configmap", "kube-proxy", "--patch", &patch].iter().chain(&own))?;
    kubectl.run(["delete", "pod", "--selector", "k8s-app=kube-proxy"].iter().chain(&own))?;
    engine::run(["restart", cluster.container()])?;
    restart::boots_again(&cluster)?;
    let rules = cluster.node(&["nft", "list", "table", "ip", "kube-proxy"])?;
    ensure!(rules.contains("dnat ip to"), "{rules}");
    Ok(())
}
