//! Stopping pods in order: workloads first, then what the cluster runs on, etcd last, so that everything a workload
//! does while it stops can still be written. Daemons are stopped by whoever started them.

use std::time::Duration;

use serde::Deserialize;

use crate::command::{CommandError, Run};

/// What `crictl ps --output json` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(default)]
    containers: Vec<Container>,
}

#[derive(Debug, Deserialize)]
struct Container {
    id: String,
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// When a container is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Whatever users run.
    Workload,
    /// What writes through the API server, and the API server.
    ControlPlane,
    /// The data.
    Etcd,
}

/// A container that could not be listed or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// crictl failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// crictl said something that is no JSON of the expected kind.
    #[error("cannot understand what crictl lists")]
    Listing(#[from] serde_json::Error),
}

/// How long the control plane may take at the most. The API server was seen to take more than a minute, for a reason not
/// found out; it holds no state, so it may as well be killed.
const CONTROL_PLANE_GRACE: Duration = Duration::from_secs(2);

/// Stops every running container in order, each turn within `grace` (after which its containers are killed).
/// kubelet must be stopped already, or it would start them again.
///
/// # Errors
/// When containerd does not answer or a container cannot be stopped.
pub async fn stop_pods(grace: Duration) -> Result<(), StopError> {
    let [workloads, control_plane, etcd] = running().await?;
    stop_turns([(workloads, grace), (control_plane, grace.min(CONTROL_PLANE_GRACE)), (etcd, grace)]).await
}

/// Does all of [`stop_pods`] but its last turn: the data rests and can still be asked for.
///
/// # Errors
/// As [`stop_pods`].
pub async fn stop_all_but_etcd(grace: Duration) -> Result<(), StopError> {
    let [workloads, control_plane, _etcd] = running().await?;
    stop_turns([(workloads, grace), (control_plane, grace.min(CONTROL_PLANE_GRACE))]).await
}

async fn running() -> Result<[Vec<String>; 3], StopError> {
    let listing = crictl().args(["ps", "--output", "json"]).timeout(Duration::from_secs(10)).capture().await?;
    Ok(in_order(&listing)?)
}

async fn stop_turns<const N: usize>(turns: [(Vec<String>, Duration); N]) -> Result<(), StopError> {
    for (ids, grace) in turns {
        if ids.is_empty() {
            continue;
        }
        let seconds = grace.as_secs().to_string();
        crictl()
            .args(["stop", "--timeout", seconds.as_str()])
            .args(ids)
            .timeout(grace + Duration::from_secs(10))
            .capture()
            .await?;
    }
    Ok(())
}

/// Removes every pod, its containers and its network. Nothing of them is left in containerd.
///
/// # Errors
/// When containerd does not answer or a pod cannot be removed.
pub async fn remove_pods() -> Result<(), StopError> {
    crictl().args(["rmp", "--all", "--force"]).timeout(Duration::from_secs(60)).capture().await?;
    Ok(())
}

/// crictl, told where containerd is by the image's `/etc/crictl.yaml`.
pub(crate) fn crictl() -> Run {
    Run::new("/usr/local/bin/crictl")
}

fn in_order(listing: &str) -> Result<[Vec<String>; 3], serde_json::Error> {
    let listing: Listing = serde_json::from_str(listing)?;
    let mut turns = [Vec::new(), Vec::new(), Vec::new()];
    for container in listing.containers {
        let index = match turn(&container) {
            Turn::Workload => 0,
            Turn::ControlPlane => 1,
            Turn::Etcd => 2,
        };
        turns[index].push(container.id);
    }
    Ok(turns)
}

fn turn(container: &Container) -> Turn {
    let label = |key: &str| container.labels.get(key).map_or("", String::as_str);
    if label("io.kubernetes.pod.namespace") != "kube-system" {
        return Turn::Workload;
    }
    match label("io.kubernetes.container.name") {
        "etcd" => Turn::Etcd,
        "kube-apiserver" | "kube-controller-manager" | "kube-scheduler" => Turn::ControlPlane,
        _ => Turn::Workload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_stops_last_and_a_users_etcd_is_a_workload() {
        let container = |id: &str, namespace: &str, name: &str| {
            serde_json::json!({ "id": id, "labels": {
                "io.kubernetes.pod.namespace": namespace, "io.kubernetes.container.name": name } })
        };
        let listing = serde_json::json!({ "containers": [
            container("a", "kube-system", "etcd"),
            container("b", "kube-system", "kube-apiserver"),
            container("c", "default", "etcd"),
            container("d", "kube-system", "coredns"),
        ] });
        let turns = in_order(&listing.to_string()).unwrap();
        assert_eq!(turns, [vec!["c".to_owned(), "d".to_owned()], vec!["b".to_owned()], vec!["a".to_owned()]]);
    }

    #[test]
    fn nothing_running_is_fine() {
        assert_eq!(in_order("{}").unwrap().concat(), Vec::<String>::new());
    }
}
