//! The control plane: a node that runs etcd, the API server, the controllers and all workloads.

use crate::boot::{Boot, BootPlan, ShutdownStep};
use crate::phases::Phase;
use crate::pods::control_plane::CONTROL_PLANE;
use crate::readiness::{Expected, Question};
use crate::services::{containerd, dockerd, kubelet};

/// The evidence that a node of the control plane is ready.
pub(crate) const EXPECTED: Expected = Expected {
    daemons: &[containerd::NAME, kubelet::NAME],
    static_pods: &CONTROL_PLANE,
    questions: &[
        Question::Scheduler,
        Question::ControllerManager,
        Question::KubeProxy,
        Question::Services,
        Question::ServiceAddress,
        Question::Dns,
    ],
};

/// The boot of a node of the control plane.
pub(crate) const BOOT: BootPlan = BootPlan {
    phases: &PHASES,
    expected: &EXPECTED,
    shutdown: &[
        // First, or it would start the pods again.
        ShutdownStep::Daemon(kubelet::NAME),
        ShutdownStep::Pods { through: containerd::NAME },
        ShutdownStep::SideServices,
        ShutdownStep::Daemon(dockerd::NAME),
        ShutdownStep::Daemon(containerd::NAME),
    ],
};

const PHASES: [Phase<Boot>; 9] = [
    Phase::new("host", |boot| Box::pin(async { boot.prepare_host() })),
    Phase::new("network", |boot| Box::pin(boot.attach_network())),
    Phase::new("identity", |boot| Box::pin(boot.ensure_identity())),
    Phase::new("before-boot", |boot| Box::pin(boot.before_boot())),
    Phase::new("store", |boot| Box::pin(boot.attach_store())),
    Phase::new("containerd", |boot| Box::pin(boot.start_containerd())),
    Phase::new("kubelet", |boot| Box::pin(async { boot.start_kubelet() })),
    Phase::new("dockerd", |boot| Box::pin(boot.start_dockerd())),
    Phase::new("kubernetes", |boot| Box::pin(boot.until_ready())),
];
