//! The kinds of workloads that readiness follows.

use super::objects::Workload;

/// The kinds that keep pods running.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WorkloadKind {
    Deployment,
    DaemonSet,
    StatefulSet,
}

impl WorkloadKind {
    pub(super) const ALL: [Self; 3] = [Self::Deployment, Self::DaemonSet, Self::StatefulSet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::DaemonSet => "DaemonSet",
            Self::StatefulSet => "StatefulSet",
        }
    }

    /// The name of several, for messages.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "Deployments",
            Self::DaemonSet => "DaemonSets",
            Self::StatefulSet => "StatefulSets",
        }
    }

    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Deployment => "/apis/apps/v1/deployments",
            Self::DaemonSet => "/apis/apps/v1/daemonsets",
            Self::StatefulSet => "/apis/apps/v1/statefulsets",
        }
    }

    pub(super) fn wanted(self, workload: &Workload) -> u32 {
        match self {
            Self::Deployment | Self::StatefulSet => workload.spec.replicas.unwrap_or(1),
            Self::DaemonSet => workload.status.desired_number_scheduled,
        }
    }
}
