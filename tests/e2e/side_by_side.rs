//! Two clusters on one host.

use std::time::Duration;

use anyhow::{Result, ensure};
use kubake_contract::{Endpoint, ports};
use kubake_e2e::PREFIX;
use kubake_e2e::cluster::{Cluster, ensure_no_trace};
use kubake_e2e::engine;
use kubake_e2e::lab::lab;

use crate::Case;

pub(crate) const CASES: &[Case] = &[("two clusters live side by side, and down removes one without a trace", both)];

fn both() -> Result<()> {
    let first = lab()?.shared()?;
    let name = format!("{PREFIX}-second");
    let second = Cluster::up(lab()?, &name, &[])?;
    first.wait_ready(Duration::from_secs(30))?;
    second.fetch(Endpoint::KubernetesReady.path())?;
    for port in [ports::API, ports::HTTP, ports::DOCKER] {
        let both = (engine::published(first.container(), port)?, engine::published(second.container(), port)?);
        ensure!(both.0 != both.1, "both publish {port} as {}", both.0);
    }

    let (one, other) = (first.kubectl()?, second.kubectl()?);
    let namespace = one.namespace("only-here")?;
    namespace.run(["create", "configmap", "mine", "--from-literal=key=value"])?;
    let seen = other.run(["get", "configmaps", "--all-namespaces", "--output", "name"])?;
    ensure!(!seen.contains("/mine"), "the other cluster has it, too: {seen}");

    let volumes = engine::volumes_of(second.container())?;
    ensure!(!volumes.is_empty(), "a cluster without a volume");
    let config = std::fs::read_to_string(second.kubeconfig())?;
    ensure!(config.contains(&name), "up wrote no context: {config}");
    second.down()?;
    ensure_no_trace(&name)?;
    let left: Vec<_> = engine::volumes()?.intersection(&volumes).cloned().collect();
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    let config = std::fs::read_to_string(second.kubeconfig()).unwrap_or_default();
    ensure!(!config.contains(&name), "the context was left behind: {config}");
    first.fetch(Endpoint::KubernetesReady.path())?;

    // `down` without a cluster succeeds: scripts clean up without checking first.
    second.down()
}
