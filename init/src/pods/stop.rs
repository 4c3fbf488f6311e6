//! Stopping pods in order: workloads first, then CoreDNS and kube-proxy, then the control plane, etcd last, so that everything a workload
//! writes while it stops can still be stored. Never stops a daemon: `boot` and `bake` stop those that they started.

use std::time::Duration;

use super::control_plane::{StopTurn, stop_turn};
use crate::cri::{self, Container, CriError};

/// Time limit for what workloads do not need to be waited for: CoreDNS, kube-proxy, the control plane. The API server sometimes takes more than a minute, for an unknown reason; it holds no
/// state, so killing it loses nothing.
const CLUSTER_GRACE: Duration = Duration::from_secs(2);

/// Stops every running container in order, each turn within `grace` (after which its containers are killed) and each pod
/// within the time that it wants.
/// kubelet must be stopped already, or it would start them again.
///
/// # Errors
/// When containerd does not answer or a container cannot be stopped.
pub(crate) async fn stop_pods(grace: Duration) -> Result<(), CriError> {
    stop_turns(grace, &[StopTurn::Workload, StopTurn::ClusterService, StopTurn::ControlPlane, StopTurn::Data]).await
}

/// Does all of [`stop_pods`] except the last turn, so that etcd still answers.
///
/// # Errors
/// As [`stop_pods`].
pub(crate) async fn stop_all_but_etcd(grace: Duration) -> Result<(), CriError> {
    stop_turns(grace, &[StopTurn::Workload, StopTurn::ClusterService, StopTurn::ControlPlane]).await
}

async fn stop_turns(grace: Duration, turns: &[StopTurn]) -> Result<(), CriError> {
    let running = cri::running_containers().await?;
    let mut outcome = Ok(());
    for &turn in turns {
        let due = due_in(turn, &running);
        if !due.is_empty() {
            let is_quick = matches!(turn, StopTurn::ClusterService | StopTurn::ControlPlane);
            let grace = if is_quick { grace.min(CLUSTER_GRACE) } else { grace };
            // etcd must be stopped in any case, so a failure does not end the turns.
            outcome = outcome.and(cri::stop_containers(&due, grace).await);
        }
    }
    outcome
}

fn due_in(turn: StopTurn, running: &[Container]) -> Vec<&Container> {
    running.iter().filter(|container| stop_turn(container.namespace(), container.name()) == turn).collect()
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
        let running: Vec<Container> = serde_json::from_value(serde_json::json!([
            container("a", "kube-system", "etcd"),
            container("b", "kube-system", "kube-apiserver"),
            container("c", "default", "etcd"),
            container("d", "kube-system", "coredns"),
        ]))
        .unwrap();
        let ids_of = |turn, running| due_in(turn, running).iter().map(|one| one.id.as_str()).collect::<Vec<_>>();
        assert_eq!(ids_of(StopTurn::Workload, &running), ["c"]);
        assert_eq!(ids_of(StopTurn::ClusterService, &running), ["d"]);
        assert_eq!(ids_of(StopTurn::ControlPlane, &running), ["b"]);
        assert_eq!(ids_of(StopTurn::Data, &running), ["a"]);
    }
}
