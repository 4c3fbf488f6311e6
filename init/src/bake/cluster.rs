//! Second half of a bake: the frozen image store is attached as at any boot, kubeadm makes the cluster in two runs
//! (with kubelet started between them, since nothing here is systemd), hooks run, and the cluster is frozen: pods
//! stopped in order and removed, etcd compacted, nothing left mounted.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use kubake_contract::error_chain::chain;
use kubake_contract::hooks::{self, Failure, Secrets};
use kubake_contract::proxies::Proxies;
use kubake_contract::{moments, paths};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{flatten, freeze, images, jobs, manifests, pulls, remove, request, trust};
use crate::boot::{api_client, start_kubelet};
use crate::command::Run;
use crate::hooks::{HookContext, run_in_order};
use crate::node_runtime::NodeRuntime;
use crate::phases::{BoxError, Events, PhaseError, Phases};
use crate::pods::stop;
use crate::status::Board;
use crate::supervisor::Handle;
use crate::{authorities, cri, identity, kubeadm, readiness, services, store};

/// The phases of the second half.
pub(crate) const CLUSTER_PHASES: &[&str] = &[
    "host",
    "network",
    "store",
    "containerd",
    "dockerd",
    "before-cluster",
    "kubeadm-files",
    "kubelet",
    "kubeadm-init",
    "addons",
    "ready",
    "manifests",
    "after-cluster",
    "settle",
    "stop",
    "etcd-compact",
    "freeze-cluster",
];

const KUBEADM_CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";
/// kubeadm's bound on the control plane; a machine without hardware virtualisation takes minutes.
const KUBEADM_TIMEOUT: Duration = Duration::from_secs(1200);
/// How long the new cluster may take until everything runs.
const READY_TIMEOUT: Duration = Duration::from_secs(900);
/// How long workloads may take to stop before the freeze; what Kubernetes grants a pod by default.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// kubeadm's phases up to the point where kubelet must run.
const BEFORE_KUBELET: &str = "preflight,certs,kubeconfig,etcd,control-plane,kubelet-start";
/// kubeadm's phases from there on.
const AFTER_KUBELET: &str =
    "wait-control-plane,upload-config,upload-certs,mark-control-plane,bootstrap-token,kubelet-finalize,addon";

/// Runs the second half to its end.
///
/// # Errors
/// When a phase fails; the container is then of no use.
pub(crate) async fn bake_cluster(runtime: &mut NodeRuntime, events: Events) -> Result<(), PhaseError> {
    let mut bake = Bake::new(runtime, CLUSTER_PHASES, events);
    bake.prepare().await?;
    bake.phases.run(bake.runtime.attach_store()).await?;
    let containerd = bake.phases.run(bake.runtime.start_containerd()).await?;
    let dockerd = bake.phases.run(start_dockerd(bake.runtime)).await?;
    bake.run_hooks(moments::BEFORE_CLUSTER).await?;
    let runtime = &*bake.runtime;
    bake.phases
        .run(async {
            // kubeadm takes certificates that are there if they are what it would have made. So each bake proves that
            // what a container makes at its first boot is what kubeadm wants.
            identity::make_for_bake_at(Path::new("/"), &runtime.settings, &runtime.place())?;
            services::write(
                Path::new(KUBEADM_CONFIG),
                &kubeadm::configuration::documents(&runtime.settings, &runtime.node)?,
            )?;
            for (name, patch) in kubeadm::patches::patches() {
                services::write(&Path::new(kubeadm::patches::DIRECTORY).join(name), &patch.to_string())?;
            }
            // The build host's fitness is what `kubake doctor` judges; kubeadm's own checks want systemd and modprobe.
            kubeadm_init(&format!("preflight,{AFTER_KUBELET},show-join-command")).await
        })
        .await?;
    let kubelet = bake.phases.run(async { start_kubelet(runtime) }).await?;
    // Nobody joins: one node is the whole cluster.
    bake.phases.run(kubeadm_init(&format!("{BEFORE_KUBELET},show-join-command"))).await?;
    bake.phases.run(install_addons(runtime)).await?;
    bake.freeze(Daemons { containerd, dockerd, kubelet }).await
}

/// The daemons of a build container.
pub(super) struct Daemons {
    pub(super) containerd: Handle,
    pub(super) dockerd: Handle,
    pub(super) kubelet: Handle,
}

/// What a bake that makes a cluster and one that takes a baked one further have in common: how they begin and how they
/// end.
pub(super) struct Bake<'a> {
    pub(super) runtime: &'a mut NodeRuntime,
    pub(super) phases: Phases,
    pub(super) events: Events,
    begun: (Instant, SystemTime),
    secrets: Secrets,
    hook_timeout: Duration,
    hook_failure: Failure,
}

impl<'a> Bake<'a> {
    pub(super) fn new(runtime: &'a mut NodeRuntime, phases: &'static [&'static str], events: Events) -> Self {
        let phases = Phases::new(runtime.board.clone(), phases, events);
        let begun = (Instant::now(), SystemTime::now());
        Self {
            runtime,
            phases,
            events,
            begun,
            secrets: Secrets::default(),
            hook_timeout: Duration::ZERO,
            hook_failure: Failure::Fail,
        }
    }

    /// The phases `host` and `network`.
    pub(super) async fn prepare(&mut self) -> Result<(), PhaseError> {
        let runtime = &*self.runtime;
        let (secrets, proxies, request) = self
            .phases
            .run(async {
                // First of all, so that they lie around for no longer than it takes to start this program.
                let secrets = Secrets::take(Path::new(paths::INBOX_SECRETS))?;
                let told = Secrets::take(Path::new(paths::INBOX_PROXIES))?;
                let proxies = Proxies::from_variables(|name| told.get(name).map(str::to_owned));
                let proxies =
                    proxies.map_err(|errors| errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; "))?;
                runtime.prepare_host()?;
                let request = request()?;
                // Before a daemon starts, which reads once whom it trusts.
                authorities::apply_at(Path::new("/"), &request.authorities)?;
                Ok::<_, BoxError>((secrets, proxies, request))
            })
            .await?;
        self.secrets = secrets;
        self.runtime.boot_options.proxies = proxies;
        self.hook_timeout = Duration::from_secs(request.hook_timeout_seconds);
        self.hook_failure = if request.reports_failed_hooks { Failure::Report } else { Failure::Fail };
        self.phases.run(self.runtime.attach_network(false)).await
    }

    /// The phase of a moment's hooks.
    pub(super) async fn run_hooks(&mut self, moment: &'static str) -> Result<(), PhaseError> {
        let given = HookContext {
            moment,
            settings: &self.runtime.settings,
            node: &self.runtime.node,
            secrets: &self.secrets,
            proxies: self.runtime.proxy_variables(),
            timeout: self.hook_timeout,
            timeout_setting: "--hook-timeout",
        };
        let (events, failure) = (self.events, self.hook_failure);
        self.phases
            .run(async {
                let found = hooks::find(Path::new(paths::INBOX_HOOKS), moment)?;
                // Nobody looks at the board of a build container: `kubake` reads events.
                Ok::<_, BoxError>(run_in_order(&found, &given, failure, &Board::new(), events).await?)
            })
            .await
    }

    /// The phases from `ready` to the end.
    pub(super) async fn freeze(mut self, daemons: Daemons) -> Result<(), PhaseError> {
        let Daemons { containerd, dockerd, kubelet } = daemons;
        let (begun, events) = (self.begun, self.events);
        self.phases.run(until_ready(self.runtime, begun, events)).await?;
        self.phases.run(manifests::apply(Path::new(paths::INBOX_MANIFESTS), events)).await?;
        self.run_hooks(moments::AFTER_CLUSTER).await?;
        let runtime = &*self.runtime;
        self.phases
            .run(async {
                let client = api_client(runtime).map_err(|error| error.source)?;
                let settled = async {
                    jobs::until_complete(&client).await?;
                    until_ready(runtime, begun, events).await
                };
                pulls::unless_in_vain(&client, settled).await?;
                readiness::take_inventory(&client, &self.runtime.node.name)
                    .await?
                    .write(Path::new(paths::INVENTORY))?;
                Ok::<_, BoxError>(())
            })
            .await?;
        self.phases.run(stop_cluster(runtime, &kubelet)).await?;
        self.phases.run(finish(runtime, containerd, dockerd, events)).await?;
        self.phases
            .run(async {
                store::freeze(Path::new(paths::CONTAINERD_ROOT), Path::new(paths::FROZEN_STORE))?;
                freeze::leave_nothing_behind()?;
                freeze::forget_who_we_are_at(Path::new("/"))?;
                for path in [paths::INBOX_IMAGES, paths::INBOX_HOOKS, paths::INBOX_REQUEST] {
                    remove(Path::new(path))?;
                }
                Ok::<_, BoxError>(())
            })
            .await
    }
}

/// Hooks may build and load images through Docker.
pub(super) async fn start_dockerd(runtime: &NodeRuntime) -> Result<Handle, BoxError> {
    let dockerd = runtime.start_dockerd().await?;
    dockerd.ready(Duration::from_secs(120)).await?;
    Ok(dockerd)
}

async fn kubeadm_init(skipped: &str) -> Result<(), BoxError> {
    let log = PathBuf::from(paths::LOGS).join("kubeadm.log");
    let mut written = String::new();
    let result = Run::new("/usr/local/bin/kubeadm")
        .args(["init", "--config", KUBEADM_CONFIG, "--skip-phases", skipped])
        .timeout(KUBEADM_TIMEOUT)
        .stream(|line| {
            written.push_str(line);
            written.push('\n');
        })
        .await;
    // The log is for people who look for a reason later; not being able to write it is none.
    let _ = services::write(&log, &written);
    Ok(result?)
}

/// What kubeadm does not know of: a default StorageClass, and a CoreDNS for one node.
async fn install_addons(runtime: &NodeRuntime) -> Result<(), BoxError> {
    let client = api_client(runtime).map_err(|error| error.source)?;
    client.create("/apis/storage.k8s.io/v1/storageclasses", &kubeadm::objects::storage_class()).await?;
    let deployment = kubeadm::objects::coredns_deployment(&runtime.node).to_string();
    client.apply("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "kubake", &deployment).await?;
    // A last replica that lingers for five seconds so that others take over only delays every stop.
    let path = "/api/v1/namespaces/kube-system/configmaps/coredns";
    let config: serde_json::Value = client.get(path).await?;
    if let Some(corefile) = config["data"]["Corefile"].as_str() {
        let corefile = corefile.replace("lameduck 5s", "lameduck 0s");
        client.merge_patch(path, &serde_json::json!({ "data": { "Corefile": corefile } })).await?;
    }
    Ok(())
}

/// Waits for the same evidence as a boot does, on a board of its own: the bake's has another meaning.
/// Waits until everything runs, and says what it waits for.
async fn until_ready(runtime: &NodeRuntime, begun: (Instant, SystemTime), events: Events) -> Result<(), BoxError> {
    let board = Board::new();
    let mut changes = board.subscribe();
    let client = api_client(runtime).map_err(|error| error.source)?;
    let mut told = Vec::new();
    let ready = changes.wait_for(|status| {
        let missing = &status.kubernetes.missing;
        if let (Some(first), true) = (missing.first(), *missing != told) {
            told.clone_from(missing);
            let more = if missing.len() > 1 { format!(", and {} more", missing.len() - 1) } else { String::new() };
            events.note(format!("{first}{more}"));
        }
        status.kubernetes.ready
    });
    let scope = readiness::Scope { boot: begun, inventory: None };
    tokio::select! {
        () = readiness::follow(client, &runtime.settings, &runtime.node.name, scope, &board) => Err("nobody follows the cluster".into()),
        waited = tokio::time::timeout(READY_TIMEOUT, ready) => match waited {
            Ok(_) => Ok(()),
            Err(_) => Err(format!(
                "the cluster is not ready after {} s: {}",
                READY_TIMEOUT.as_secs(),
                board.snapshot().kubernetes.missing.join("; "),
            ).into()),
        },
    }
}

async fn stop_cluster(runtime: &NodeRuntime, kubelet: &Handle) -> Result<(), BoxError> {
    kubelet.stop().await;
    let client = api_client(runtime).map_err(|error| error.source)?;
    let trust = trust::collect(&client).await?;
    stop::stop_all_but_etcd(STOP_GRACE).await?;
    let etcd = freeze::Etcd::find().await?;
    trust.freeze(&etcd, &runtime.node.name).await?;
    // Compacted while etcd still runs, so that the frozen database holds no history.
    etcd.compact().await?;
    stop::stop_pods(STOP_GRACE).await?;
    cri::remove_pods().await?;
    Ok(())
}

async fn finish(runtime: &NodeRuntime, containerd: Handle, dockerd: Handle, events: Events) -> Result<(), BoxError> {
    let shutdown: &CancellationToken = &runtime.shutdown;
    // What hooks built stays; how they built it does not.
    let host = format!("unix://{}", paths::DOCKER_SOCKET);
    Run::new("docker").args(["--host", &host, "builder", "prune", "--all", "--force"]).capture().await?;
    shutdown.cancel();
    dockerd.stop().await;
    // What hooks built or loaded through Docker joins the image.
    images::pin_all().await?;
    flatten::flatten_whiteouts(events).await?;
    containerd.stop().await;
    freeze::shrink_etcd(&runtime.node).await?;
    trust::warn_of_leftovers(&Path::new(paths::ETCD).join("member/snap/db"))
}
