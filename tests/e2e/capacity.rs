//! With `ENFORCE_CAPACITY`, the node is no larger than its container may be.

use anyhow::{Result, ensure};
use kubake_contract::names;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::lab::lab;
use kubake_e2e::{PREFIX, engine};

use crate::Case;

pub(crate) const CASES: &[Case] =
    &[("a cluster with limits promises pods what its container may use, and the log says how much", enforced)];

fn enforced() -> Result<()> {
    lab()?.retire_other();
    let arguments = ["--image", lab()?.image()?, "--cpus", "1.5", "--memory", "3g"];
    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-capacity"), &arguments)?;
    let node = cluster.kubectl()?.json(["get", "node", names::CONTROL_PLANE.as_str()])?;
    let allocatable = &node["status"]["allocatable"];
    ensure!(allocatable["cpu"] == "1500m", "{allocatable}");
    // As Kubernetes writes 3145728Ki.
    ensure!(allocatable["memory"] == "3Gi", "{allocatable}");
    let log = engine::logs(cluster.container())?;
    ensure!(log.contains("the node's capacity is the container's, 1.5 CPU and 3072 MiB of memory"), "{log}");
    Ok(())
}
