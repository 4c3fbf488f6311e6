//! Clocks that are wrong: a machine with a dead battery, an image that is very old. These cases set the clock of the whole
//! machine, so they come last, alone, and for as short a time as a boot takes.

use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use kubake_contract::names;
use kubake_e2e::clock::Shift;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::lab::lab;
use kubake_e2e::{PREFIX, engine, process};
use serde_json::Value;

use crate::Case;

pub(crate) const CASES: &[Case] = &[("a clock ten years ahead or a day behind the bake boots as well", wrong_clocks)];

/// Allows a run to set the clock of this machine.
const VARIABLE: &str = "KUBAKE_E2E_CLOCK";

/// Whether this run may set the clock. The kernel has no namespace for it: a time namespace has clocks of its own for the
/// time since the boot only (`time_namespaces(7)`).
pub(crate) fn is_allowed() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| value == "set")
}

const DAY: Duration = Duration::from_secs(24 * 3600);

fn wrong_clocks() -> Result<()> {
    let image = lab()?.image()?;
    // The clock would jump under running clusters.
    lab()?.retire();
    let baked = baked(image)?;
    for (what, time) in [("ten years after the bake", baked + 3650 * DAY), ("a day before the bake", baked - DAY)] {
        boots(time).with_context(|| what.to_owned())?;
    }
    Ok(())
}

/// When the image was made.
fn baked(image: &str) -> Result<SystemTime> {
    let created = engine::run(["image", "inspect", "--format", "{{.Created}}", image])?;
    let mut command = Command::new("date");
    command.args(["--date", &created, "+%s"]);
    let seconds = process::run(&mut command, Duration::from_secs(20))?.success()?;
    let seconds: u64 = seconds.trim().parse().with_context(|| format!("the image was made at {created:?}"))?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Boots a cluster at this time and uses it. Waits measure time with a clock that cannot be set.
fn boots(time: SystemTime) -> Result<()> {
    let shift = Shift::to(time)?;
    let cluster = Cluster::run(lab()?, &format!("{PREFIX}-clock"), &[])?;
    let used = used(&cluster, time);
    // The right time first: removing a container takes some.
    drop(shift);
    used
}

fn used(cluster: &Cluster, time: SystemTime) -> Result<()> {
    let now = cluster.node(&["date", "+%s"])?;
    let now: u64 = now.parse().with_context(|| format!("the node's time is {now:?}"))?;
    let wanted = time.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    // Otherwise this case would prove nothing.
    ensure!((wanted..wanted + 600).contains(&now), "the node's time is {now} and not {wanted}");

    // Within the node, so that no other program needs to cope with the time.
    let nodes: Value = serde_json::from_str(&cluster.node(&["kubectl", "get", "nodes", "--output", "json"])?)?;
    let conditions = nodes["items"][0]["status"]["conditions"].as_array().context("no node with conditions")?;
    let is_ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
    ensure!(is_ready && nodes["items"][0]["metadata"]["name"] == names::CONTROL_PLANE.as_str(), "{conditions:?}");
    cluster.node(&["kubectl", "create", "configmap", "written", "--from-literal=key=value"])?;
    // The API server asks kubelet for this, and each has to take the other's certificate for valid.
    let log = ["kubectl", "logs", "--namespace", "kube-system", "--selector", "k8s-app=kube-proxy", "--tail", "1"];
    ensure!(!cluster.node(&log)?.is_empty(), "the log of kube-proxy is empty");
    // The key of service accounts signs this and checks it.
    let token = cluster.node(&["kubectl", "create", "token", "default"])?;
    let whoami = ["kubectl", "--kubeconfig=/dev/null", "--server=https://172.30.99.1:8443", "--token", &token];
    let trusts = ["--certificate-authority=/etc/kubernetes/pki/ca.crt", "auth", "whoami", "--output", "json"];
    cluster.node(&[&whoami[..], &trusts].concat()).map(drop)
}
