//! The questions that components answer once everything that is watched is there. Data only.

/// A question that is repeated while everything that is watched is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Question {
    /// Does the scheduler report that it is healthy?
    Scheduler,
    /// Does the controller manager report that it is healthy?
    ControllerManager,
    /// Does kube-proxy report that it is healthy?
    KubeProxy,
    /// Do kube-proxy's rules lead to the pods behind the image's services?
    Services,
    /// Does the API server answer at its service's address?
    ServiceAddress,
    /// Does the cluster's DNS, at its service's address, resolve the API server's service?
    Dns,
}

impl Question {
    /// The subject of a sentence about the answer.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Scheduler => "kube-scheduler",
            Self::ControllerManager => "kube-controller-manager",
            Self::KubeProxy => "kube-proxy",
            Self::Services => "the way to the services' pods",
            Self::ServiceAddress => "the API server's service address",
            Self::Dns => "the cluster's DNS",
        }
    }

    /// Name of the milestone that the answer reaches.
    pub(super) fn milestone(self) -> &'static str {
        match self {
            Self::Scheduler => "scheduler-healthy",
            Self::ControllerManager => "controller-manager-healthy",
            Self::KubeProxy => "kube-proxy-healthy",
            Self::Services => "services-lead-to-pods",
            Self::ServiceAddress => "service-address-answers",
            Self::Dns => "dns-answers",
        }
    }
}
