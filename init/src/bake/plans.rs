//! The phases of each bake. Data only.

use kubake_contract::moments;

use super::bake_run::Bake;
use crate::phases::Phase;

/// First half: the image store.
pub(crate) const IMAGES: [Phase<Bake>; 6] = [
    Phase::new("host", |bake| Box::pin(async { bake.prepare_bare_host() })),
    NETWORK,
    Phase::new("containerd", |bake| Box::pin(bake.start_containerd_for_import())),
    IMPORT,
    Phase::new("stop", |bake| Box::pin(bake.stop_containerd())),
    Phase::new("freeze-images", |bake| Box::pin(async { bake.freeze_images() })),
];

/// Second half: the cluster.
pub(crate) const CLUSTER: [Phase<Bake>; 17] = [
    HOST,
    NETWORK,
    STORE,
    CONTAINERD,
    DOCKERD,
    BEFORE_CLUSTER,
    Phase::new("kubeadm-files", |bake| Box::pin(bake.kubeadm_files())),
    KUBELET,
    Phase::new("kubeadm-init", |bake| Box::pin(bake.kubeadm_init())),
    Phase::new("addons", |bake| Box::pin(bake.install_addons())),
    READY,
    MANIFESTS,
    AFTER_CLUSTER,
    SETTLE,
    STOP,
    ETCD_COMPACT,
    FREEZE_CLUSTER,
];

/// On a baked image: boots its cluster, adds the user's images and workloads, and freezes it again. What `kubake` commits
/// is a thin layer on the baked image.
pub(crate) const CUSTOM: [Phase<Bake>; 16] = [
    HOST,
    NETWORK,
    Phase::new("identity", |bake| Box::pin(bake.ensure_identity())),
    STORE,
    CONTAINERD,
    Phase::new("import", |bake| Box::pin(bake.import_if_any())),
    DOCKERD,
    BEFORE_CLUSTER,
    KUBELET,
    READY,
    MANIFESTS,
    AFTER_CLUSTER,
    SETTLE,
    STOP,
    ETCD_COMPACT,
    FREEZE_CLUSTER,
];

const HOST: Phase<Bake> = Phase::new("host", |bake| Box::pin(async { bake.prepare_host() }));
const NETWORK: Phase<Bake> = Phase::new("network", |bake| Box::pin(bake.runtime.attach_network(false)));
const STORE: Phase<Bake> = Phase::new("store", |bake| Box::pin(bake.runtime.attach_store()));
const CONTAINERD: Phase<Bake> = Phase::new("containerd", |bake| Box::pin(bake.start_containerd()));
const IMPORT: Phase<Bake> = Phase::new("import", |bake| Box::pin(bake.import()));
const DOCKERD: Phase<Bake> = Phase::new("dockerd", |bake| Box::pin(bake.start_dockerd()));
const BEFORE_CLUSTER: Phase<Bake> =
    Phase::new(moments::BEFORE_CLUSTER, |bake| Box::pin(bake.run_hooks(moments::BEFORE_CLUSTER)));
const KUBELET: Phase<Bake> = Phase::new("kubelet", |bake| Box::pin(async { bake.start_kubelet() }));
const READY: Phase<Bake> = Phase::new("ready", |bake| Box::pin(bake.until_ready()));
const MANIFESTS: Phase<Bake> = Phase::new("manifests", |bake| Box::pin(bake.apply_manifests()));
const AFTER_CLUSTER: Phase<Bake> =
    Phase::new(moments::AFTER_CLUSTER, |bake| Box::pin(bake.run_hooks(moments::AFTER_CLUSTER)));
const SETTLE: Phase<Bake> = Phase::new("settle", |bake| Box::pin(bake.settle()));
const STOP: Phase<Bake> = Phase::new("stop", |bake| Box::pin(bake.stop_cluster()));
const ETCD_COMPACT: Phase<Bake> = Phase::new("etcd-compact", |bake| Box::pin(bake.shrink()));
const FREEZE_CLUSTER: Phase<Bake> = Phase::new("freeze-cluster", |bake| Box::pin(bake.freeze_cluster()));
