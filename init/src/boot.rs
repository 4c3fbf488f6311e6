//! The boot: its phases in order, what runs after them, and the orderly stop. Does none of it itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kubake_contract::error_chain::chain;
use kubake_contract::hooks::{self, Secrets};
use kubake_contract::status::State;
use kubake_contract::{env, moments, paths, ports};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::hooks::{HookContext, HookError, run_in_order};
use crate::node_runtime::NodeRuntime;
use crate::phases::{BoxError, Events, PhaseError, Phases};
use crate::pods::{crashes, stop};
use crate::services::{self, kubelet};
use crate::status::Board;
use crate::supervisor::{Handle, ServiceError};
use crate::{identity, readiness, usage};

/// The phases of a boot, as `/status` and the log name them.
pub(crate) const PHASES: &[&str] =
    &["host", "network", "identity", "before-boot", "store", "containerd", "kubelet", "dockerd", "kubernetes"];

/// How long containers of one turn may take to stop. Three turns and the daemons must fit into the ten seconds that
/// `docker stop` grants by default.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How long hooks that run when the cluster is ready wait for dockerd, which the boot does not wait for.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a boot ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    /// A phase failed.
    #[error(transparent)]
    Phase(#[from] PhaseError),
    /// A hook failed after everything was ready, and that was to end the boot.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// A daemon was given up later on.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

/// The daemons of a booted container, in the order in which they were started.
#[derive(Debug, Default)]
pub(crate) struct Daemons {
    containerd: Option<Handle>,
    kubelet: Option<Handle>,
    dockerd: Option<Handle>,
}

/// Boots and then follows the cluster until `stop` is cancelled. `daemons` holds what must be stopped afterwards,
/// also after an error.
///
/// # Errors
/// When a phase fails or a daemon cannot be kept running before the cluster is ready.
pub(crate) async fn run(
    runtime: &mut NodeRuntime,
    daemons: &mut Daemons,
    events: Events,
    identity: identity::Request,
    stop: &CancellationToken,
) -> Result<(), BootError> {
    let begun = (Instant::now(), SystemTime::now());
    let mut phases = Phases::new(runtime.board.clone(), PHASES, events);
    phases
        .run(async {
            runtime.prepare_host()?;
            runtime.apply_boot_options()
        })
        .await?;
    phases.run(runtime.attach_network(runtime.boot_options.is_static_ip_checked)).await?;
    phases.run(runtime.ensure_identity(identity)).await?;
    phases.run(before_boot(runtime, events)).await?;
    phases.run(runtime.attach_store()).await?;
    let containerd = phases.run(runtime.start_containerd()).await?;
    let containerd = daemons.containerd.insert(containerd);
    let kubelet = phases.run(async { start_kubelet(runtime) }).await?;
    let kubelet = daemons.kubelet.insert(kubelet);
    // Not waited for: Kubernetes gets the processor first.
    daemons.dockerd = Some(phases.run(runtime.start_dockerd()).await?);

    let client = api_client(runtime)?;
    let inventory = read_inventory(Path::new(paths::INVENTORY))?;
    let scope = readiness::Scope { boot: begun, inventory: Some(inventory) };
    let follow = readiness::follow(client, &runtime.settings, &runtime.node.name, scope, &runtime.board);
    tokio::pin!(follow);
    let mut board = runtime.board.subscribe();
    let ready = async {
        let is_ready = board.wait_for(|status| status.state == State::Running);
        match tokio::time::timeout(runtime.boot_options.boot_timeout, is_ready).await {
            Ok(_) => Ok(()),
            Err(_) => Err(BoxError::from(format!(
                "Kubernetes is not ready after {} s: {}\n{}",
                runtime.boot_options.boot_timeout.as_secs(),
                runtime.board.snapshot().kubernetes.missing.join("; "),
                crashes::tails(Path::new(crashes::LOGS))
            ))),
        }
    };
    let guarded = async {
        tokio::select! {
            result = ready => result,
            error = kubelet.given_up() => Err(error.into()),
            error = containerd.given_up() => Err(error.into()),
            crashing = control_plane_crashing() => Err(crashing.into()),
            () = &mut follow => Err("nobody follows the cluster any more".into()),
        }
    };
    phases.run(guarded).await?;
    note_usage(&runtime.board).await;
    let hooks = kubernetes_ready(runtime, events);
    tokio::pin!(hooks);
    tokio::select! {
        () = &mut follow => return Ok(()),
        () = stop.cancelled() => return Ok(()),
        outcome = &mut hooks => outcome?,
    }
    tokio::select! {
        () = &mut follow => {}
        () = stop.cancelled() => {}
    }
    Ok(())
}

/// Nothing was started yet: what these hooks put in place, everything finds.
async fn before_boot(runtime: &NodeRuntime, events: Events) -> Result<(), HookError> {
    let found = hooks::find(Path::new(paths::HOOKS), moments::BEFORE_BOOT)?;
    run_hooks(runtime, events, moments::BEFORE_BOOT, &found).await
}

/// Whoever waits for the cluster has been told by now; these hooks delay nobody.
async fn kubernetes_ready(runtime: &NodeRuntime, events: Events) -> Result<(), HookError> {
    let mut found = hooks::find(Path::new(paths::HOOKS), moments::KUBERNETES_READY)?;
    found.extend(hooks::ready_script(Path::new(paths::READY_SCRIPT)));
    if !found.is_empty() {
        // The boot does not wait for dockerd, hooks may need it. One that does not will not mind the moment.
        let mut board = runtime.board.subscribe();
        let _ = tokio::time::timeout(DOCKER_TIMEOUT, board.wait_for(|status| status.docker.ready)).await;
    }
    run_hooks(runtime, events, moments::KUBERNETES_READY, &found).await
}

async fn run_hooks(
    runtime: &NodeRuntime,
    events: Events,
    moment: &str,
    found: &[hooks::Hook],
) -> Result<(), HookError> {
    let (secrets, policy) = (Secrets::default(), runtime.boot_options.hooks);
    let given = HookContext {
        moment,
        settings: &runtime.settings,
        node: &runtime.node,
        secrets: &secrets,
        proxies: runtime.proxy_variables(),
        timeout: policy.timeout,
        timeout_setting: env::HOOK_TIMEOUT,
    };
    run_in_order(found, &given, policy.failure_at(moment), &runtime.board, events).await
}

/// Tells the board what it took to get here. Whoever cannot know that runs no worse for it.
async fn note_usage(board: &Board) {
    // A few milliseconds, in which the one thread of the runtime tells those who wait that the cluster is ready.
    let error = match tokio::task::spawn_blocking(|| usage::read_at(Path::new("/"))).await {
        Ok(Ok(usage)) => return board.set_usage_at_ready(usage),
        Ok(Err(error)) => chain(&error),
        Err(error) => error.to_string(),
    };
    tracing::warn!("what was used until the cluster was ready is not known: {error}");
}

/// Ends only when a container of the control plane crashes again and again.
async fn control_plane_crashing() -> crashes::Crashing {
    let logs = Path::new(crashes::LOGS);
    let before = crashes::attempts(logs);
    loop {
        // A look at a few directory entries; kubelet writes there too often for a watch to be cheaper.
        tokio::time::sleep(Duration::from_secs(5)).await;
        if let Some(crashing) = crashes::crashing(logs, before) {
            return crashing;
        }
    }
}

/// Starts kubelet with kubeadm's files. Ready or not is seen by what it does, not waited for here.
pub(crate) fn start_kubelet(runtime: &NodeRuntime) -> Result<Handle, BoxError> {
    let reserved = runtime.reserve()?;
    Ok(runtime.supervisor.start(kubelet::service_at(Path::new("/"), reserved)?)?)
}

fn read_inventory(path: &Path) -> Result<readiness::Inventory, PhaseError> {
    readiness::Inventory::read(path).map_err(|source| PhaseError { name: "kubernetes", source: source.into() })
}

/// A client that reaches the API server at the static IP with kubeadm's admin credentials.
pub(crate) fn api_client(runtime: &NodeRuntime) -> Result<Client, PhaseError> {
    let client = services::read(Path::new(paths::ADMIN_KUBECONFIG)).map_err(BoxError::from).and_then(|kubeconfig| {
        let address = SocketAddr::from((runtime.node.addresses.ipv4, ports::API));
        Ok(Client::from_kubeconfig(&kubeconfig)?.connect_to(address))
    });
    client.map_err(|source| PhaseError { name: "kubernetes", source })
}

/// Stops everything in order: kubelet, workloads, control plane, etcd, dockerd, containerd.
pub(crate) async fn shut_down(runtime: &NodeRuntime, daemons: Daemons) {
    if let Some(kubelet) = &daemons.kubelet {
        kubelet.stop().await;
    }
    if daemons.containerd.is_some() {
        if let Err(error) = stop::stop_pods(STOP_GRACE).await {
            tracing::warn!("pods were not stopped in order: {}", chain(&error));
        }
    }
    runtime.shutdown.cancel();
    if let Some(dockerd) = &daemons.dockerd {
        dockerd.stop().await;
    }
    if let Some(containerd) = &daemons.containerd {
        containerd.stop().await;
    }
}
