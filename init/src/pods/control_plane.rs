//! The static pods of the control plane, as one table. kubeadm's patches, readiness, the order of a stop and the search for
//! crashes all read it. Data only.

/// The namespace of the control plane's pods.
pub(crate) const NAMESPACE: &str = "kube-system";

/// When a container is stopped. Later turns stop after earlier ones have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StopTurn {
    /// Everything that users and add-ons run.
    Workload,
    /// CoreDNS and kube-proxy, which workloads need while they stop.
    ClusterService,
    /// The API server and the programs that write through it.
    ControlPlane,
    /// etcd, which holds the data.
    Data,
}

/// A static pod with one container of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StaticPod {
    /// Name of the container, and of the pod up to the node's name (`NAME-NODE`).
    pub(crate) name: &'static str,
    /// When the pod is stopped.
    pub(crate) stop_turn: StopTurn,
    /// Whether the pod shares the directory of etcd's socket.
    pub(crate) mounts_etcd_socket: bool,
}

/// The control plane, in the order in which its pods depend on each other.
pub(crate) const CONTROL_PLANE: [StaticPod; 4] = [
    StaticPod { name: "etcd", stop_turn: StopTurn::Data, mounts_etcd_socket: true },
    StaticPod { name: API_SERVER, stop_turn: StopTurn::ControlPlane, mounts_etcd_socket: true },
    StaticPod { name: "kube-controller-manager", stop_turn: StopTurn::ControlPlane, mounts_etcd_socket: false },
    StaticPod { name: "kube-scheduler", stop_turn: StopTurn::ControlPlane, mounts_etcd_socket: false },
];

/// The containers through which workloads reach each other.
const CLUSTER_SERVICES: [&str; 2] = ["coredns", "kube-proxy"];

/// The API server's name in [`CONTROL_PLANE`].
pub(crate) const API_SERVER: &str = "kube-apiserver";

impl StaticPod {
    /// The name of the pod that the API shows for the manifest on this node.
    pub(crate) fn pod_name(&self, node: &str) -> String {
        format!("{}-{node}", self.name)
    }
}

/// The turn of the container `name` in a pod of `namespace`.
pub(crate) fn stop_turn(namespace: &str, name: &str) -> StopTurn {
    CONTROL_PLANE
        .iter()
        .find(|pod| namespace == NAMESPACE && pod.name == name)
        .map_or_else(|| stop_turn_of_pods(namespace, name), |pod| pod.stop_turn)
}

fn stop_turn_of_pods(namespace: &str, name: &str) -> StopTurn {
    let is_service = namespace == NAMESPACE && CLUSTER_SERVICES.contains(&name);
    if is_service { StopTurn::ClusterService } else { StopTurn::Workload }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_control_planes_own_containers_have_a_later_turn() {
        assert_eq!(stop_turn("kube-system", "etcd"), StopTurn::Data);
        assert_eq!(stop_turn("kube-system", "kube-apiserver"), StopTurn::ControlPlane);
        assert_eq!(stop_turn("default", "etcd"), StopTurn::Workload);
        assert_eq!(stop_turn("kube-system", "coredns"), StopTurn::ClusterService);
        assert_eq!(stop_turn("default", "coredns"), StopTurn::Workload);
    }

    #[test]
    fn pods_are_named_after_their_node() {
        assert_eq!(CONTROL_PLANE.map(|pod| pod.pod_name("kind"))[0], "etcd-kind");
    }
}
