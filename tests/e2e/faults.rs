//! Parts that die while the cluster runs.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::status::{Component, ComponentState};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::lab::lab;
use kubake_e2e::{manifests, poll};

use crate::{Case, PROBE, build_probe};

pub(crate) const CASES: &[Case] = &[
    ("a component that is killed is started again and the cluster gets ready", killed),
    ("no process stays a zombie", zombies),
];

const PATIENCE: Duration = Duration::from_secs(90);

fn killed() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("faults")?;
    for (name, pattern) in [("kubelet", "kubelet"), ("dockerd", "dockerd"), ("containerd", "containerd")] {
        let before = component(&cluster, name)?.restarts;
        let old = cluster.node(&["pidof", pattern])?;
        cluster.node(&["pkill", "-KILL", "-x", pattern])?;
        poll::until(&format!("{name} runs again"), PATIENCE, || {
            let now = component(&cluster, name)?;
            ensure!(now.restarts > before && now.state == ComponentState::Running, "{now:?}");
            let new = cluster.node(&["pidof", pattern])?;
            ensure!(new != old, "it has the process id of the killed one");
            ensure!(now.last_exit.is_some(), "nothing is reported about its end: {now:?}");
            Ok(())
        })?;
        cluster.wait_ready(PATIENCE)?;
        // Besides readiness: a new pod needs kubelet and containerd.
        let pod = format!("after-{name}");
        namespace.apply(manifests::pod(&pod, PROBE, &["say", "alive"]))?;
        ensure!(namespace.wait_done(&pod)? == "alive");
        // The Docker API needs dockerd.
        poll::until("the Docker API answers", PATIENCE, || cluster.fetch("/docker-ready"))?;
        cluster.node(&["docker", "info"])?;
    }
    Ok(())
}

fn component(cluster: &Cluster, name: &str) -> Result<Component> {
    let status = cluster.status()?;
    let found = status.components.iter().find(|component| component.name == name).cloned();
    found.with_context(|| format!("{name} is not in the status: {status:?}"))
}

fn zombies() -> Result<()> {
    let cluster = lab()?.shared()?;
    // Their parent ends first, so PID 1 inherits them; then they end and have to be reaped.
    cluster.node(&["sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done"])?;
    poll::until("all processes are reaped", Duration::from_secs(20), || {
        let processes = cluster.node(&["ps", "-e", "-o", "stat=,pid=,ppid=,comm="])?;
        ensure!(processes.lines().count() > 10, "ps does not see the node: {processes}");
        let zombies: Vec<&str> = processes.lines().filter(|line| line.starts_with('Z')).collect();
        ensure!(zombies.is_empty(), "{zombies:?}");
        let asleep: Vec<&str> = processes.lines().filter(|line| line.ends_with(" sleep")).collect();
        ensure!(asleep.is_empty(), "{asleep:?}");
        Ok(())
    })
}
