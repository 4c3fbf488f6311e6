//! A restart of the container is a reboot of the node: data survives, and readiness relies on nothing from
//! before.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::status::State;
use kubake_contract::{Endpoint, env};
use kubake_e2e::cluster::{BOOT_PATIENCE, Cluster};
use kubake_e2e::lab::lab;
use kubake_e2e::{engine, manifests, poll};

use crate::{Case, PROBE, build_probe, storage};

pub(crate) const CASES: &[Case] = &[
    ("docker restart keeps data and does not believe the life before", restart),
    ("a restart without DNS, as its user left it, is not ready and does not end", lacking),
];

fn lacking() -> Result<()> {
    let timeout = format!("--env={}=40", env::BOOT_TIMEOUT);
    let cluster = Cluster::run(lab()?, "kubake-e2e-lacking", &[&timeout])?;
    let scale = |replicas: &str| {
        cluster.kubectl()?.run(["scale", "deployment", "coredns", "--namespace=kube-system", "--replicas", replicas])
    };
    scale("0")?;
    // Otherwise the pod comes back for a moment, which is enough to be ready.
    poll::until("the pods of DNS are gone", BOOT_PATIENCE, || {
        let arguments = ["get", "pods", "--namespace=kube-system", "--selector=k8s-app=kube-dns", "--output=name"];
        let pods = cluster.kubectl()?.run(arguments)?;
        ensure!(pods.is_empty(), "{pods}");
        Ok(())
    })?;
    engine::run(["restart", cluster.container()])?;
    poll::until("the boot has waited for longer than its time limit", BOOT_PATIENCE, || {
        let log = engine::logs(cluster.container())?;
        ensure!(log.contains("and still running: the cluster's DNS does not answer"), "{log}");
        Ok(())
    })?;
    let answer = cluster.get(Endpoint::KubernetesReady.path())?;
    ensure!(answer.status == 503 && answer.body.contains("DNS"), "{answer:?}");
    // It can be repaired from outside.
    scale("1")?;
    cluster.wait_ready(BOOT_PATIENCE)
}

fn restart() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("restart")?;
    namespace.run(["create", "configmap", "kept", "--from-literal=key=value"])?;
    namespace.apply(manifests::claim("data"))?;
    storage::written(&namespace, "data", "from the life before")?;
    namespace.apply(manifests::deployment("web", PROBE, "still here", 1))?;
    namespace.wait_ready("web")?;
    let certificate = cluster.fetch(Endpoint::Config.path())?;

    engine::run(["restart", cluster.container()])?;
    boots_again(&cluster)?;

    // The engine may have published other ports, so the kubeconfig is fetched anew; its CA is the same.
    let after = cluster.fetch(Endpoint::Config.path())?;
    ensure!(authority(&certificate)? == authority(&after)?, "the cluster has other certificates after a restart");
    let kubectl = cluster.kubectl()?;
    let name = namespace.name();
    let get = ["get", "configmap", "kept", "--namespace", name, "--output", "jsonpath={.data.key}"];
    ensure!(kubectl.run(get)? == "value");
    namespace.wait_ready("web")?;
    let read = storage::read(&namespace, "reader", "data")?;
    ensure!(read == "from the life before", "the volume holds {read:?}");
    // The image was built before the restart; no registry has it.
    namespace.apply(manifests::pod("again", PROBE, &["say", "hello"]))?;
    ensure!(namespace.wait_done("again")? == "hello");
    // The context that `up` wrote into the user's kubeconfig still works.
    let mut command = std::process::Command::new(lab()?.kubectl(cluster.container())?);
    command.env("HOME", cluster.directory()).env("KUBECONFIG", cluster.kubeconfig());
    command.args(["--context", cluster.name(), "get", "namespace", name]);
    kubake_e2e::process::run(&mut command, Duration::from_secs(60))?.success().context("the context that `up` made")?;
    Ok(())
}

/// Checks that a cluster which was just started again first answers 503 with a reason, and then becomes ready.
pub(crate) fn boots_again(cluster: &Cluster) -> Result<()> {
    let ask = || cluster.get(Endpoint::KubernetesReady.path());
    let first = poll::until("a first answer after the start", Duration::from_secs(10), ask)?;
    ensure!(first.status == 503 && !first.body.trim().is_empty(), "right after the start it answers {first:?}");
    cluster.wait_ready(BOOT_PATIENCE)?;
    let log = engine::logs(cluster.container())?;
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}

/// Ends a cluster's container as a power cut does.
pub(crate) fn kill(cluster: &Cluster) -> Result<()> {
    engine::run(["kill", cluster.container()])?;
    poll::until("the container has ended", Duration::from_secs(30), || {
        let running = engine::inspect(cluster.container(), ".State.Running")?;
        ensure!(running == "false", "it runs");
        Ok(())
    })
}

/// The same, as soon as the running boot reaches this phase.
pub(crate) fn kill_in_boot(cluster: &Cluster, phase: &str) -> Result<()> {
    let state = poll::until(&format!("the boot has come to `{phase}`"), BOOT_PATIENCE, || {
        let status = cluster.status()?;
        ensure!(status.phases.iter().any(|one| one.name == phase), "{status:?}");
        Ok(status.state)
    })?;
    ensure!(state == State::Booting, "the boot was over before it could be killed in `{phase}`: {state:?}");
    kill(cluster)
}

fn authority(kubeconfig: &str) -> Result<&str> {
    let line = kubeconfig.lines().find(|line| line.contains("certificate-authority-data"));
    line.map(str::trim).with_context(|| format!("a kubeconfig without an authority: {kubeconfig}"))
}
