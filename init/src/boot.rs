//! The boot: its phases in order, what runs after them, and the orderly stop. Does none of it itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::Client;
use crate::contract::{env, moments, paths, ports};
use crate::hooks::{self, HookContext, HookError, Secrets};
use crate::phases::{BoxError, Events, PhaseError, Phases, chain};
use crate::pods::{crashes, stop};
use crate::services::{self, kubelet};
use crate::stage::Stage;
use crate::status::{Board, State};
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
    stage: &mut Stage,
    daemons: &mut Daemons,
    events: Events,
    identity: identity::Request,
    stop: &CancellationToken,
) -> Result<(), BootError> {
    let begun = (Instant::now(), SystemTime::now());
    let mut phases = Phases::new(stage.board.clone(), PHASES, events);
    phases
        .run(async {
            stage.prepare_host()?;
            stage.grant_wishes()
        })
        .await?;
    phases.run(stage.attach_network(stage.wishes.is_static_ip_checked)).await?;
    phases.run(stage.ensure_identity(identity)).await?;
    phases.run(before_boot(stage, events)).await?;
    phases.run(stage.attach_store()).await?;
    let containerd = phases.run(stage.start_containerd()).await?;
    let containerd = daemons.containerd.insert(containerd);
    let kubelet = phases.run(async { start_kubelet(stage) }).await?;
    let kubelet = daemons.kubelet.insert(kubelet);
    // Not waited for: Kubernetes gets the processor first.
    daemons.dockerd = Some(phases.run(stage.start_dockerd()).await?);

    let client = api_client(stage)?;
    let inventory = read_inventory(Path::new(paths::INVENTORY))?;
    let scope = readiness::Scope { boot: begun, inventory: Some(inventory) };
    let follow = readiness::follow(client, &stage.settings, &stage.node.name, scope, &stage.board);
    tokio::pin!(follow);
    let mut board = stage.board.subscribe();
    let ready = async {
        let is_ready = board.wait_for(|status| status.state == State::Running);
        match tokio::time::timeout(stage.wishes.boot_timeout, is_ready).await {
            Ok(_) => Ok(()),
            Err(_) => Err(BoxError::from(format!(
                "Kubernetes is not ready after {} s: {}\n{}",
                stage.wishes.boot_timeout.as_secs(),
                stage.board.snapshot().kubernetes.missing.join("; "),
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
    note_usage(&stage.board).await;
    let hooks = kubernetes_ready(stage, events);
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
async fn before_boot(stage: &Stage, events: Events) -> Result<(), HookError> {
    let found = hooks::find(Path::new(paths::HOOKS), moments::BEFORE_BOOT)?;
    run_hooks(stage, events, moments::BEFORE_BOOT, &found).await
}

/// Whoever waits for the cluster has been told by now; these hooks delay nobody.
async fn kubernetes_ready(stage: &Stage, events: Events) -> Result<(), HookError> {
    let mut found = hooks::find(Path::new(paths::HOOKS), moments::KUBERNETES_READY)?;
    found.extend(hooks::ready_script(Path::new(paths::READY_SCRIPT)));
    if !found.is_empty() {
        // The boot does not wait for dockerd, hooks may need it. One that does not will not mind the moment.
        let mut board = stage.board.subscribe();
        let _ = tokio::time::timeout(DOCKER_TIMEOUT, board.wait_for(|status| status.docker.ready)).await;
    }
    run_hooks(stage, events, moments::KUBERNETES_READY, &found).await
}

async fn run_hooks(stage: &Stage, events: Events, moment: &str, found: &[hooks::Hook]) -> Result<(), HookError> {
    let (secrets, policy) = (Secrets::default(), stage.wishes.hooks);
    let given = HookContext {
        moment,
        settings: &stage.settings,
        node: &stage.node,
        secrets: &secrets,
        proxies: stage.proxy_variables(),
        timeout: policy.timeout,
        timeout_setting: env::HOOK_TIMEOUT,
    };
    hooks::run_all(found, &given, policy.failure_at(moment), &stage.board, events).await
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
pub(crate) fn start_kubelet(stage: &Stage) -> Result<Handle, BoxError> {
    let reserved = stage.reserve()?;
    Ok(stage.supervisor.start(kubelet::service_at(Path::new("/"), reserved)?)?)
}

fn read_inventory(path: &Path) -> Result<readiness::Inventory, PhaseError> {
    readiness::Inventory::read(path).map_err(|source| PhaseError { name: "kubernetes", source: source.into() })
}

/// A client that reaches the API server at the static IP with kubeadm's admin credentials.
pub(crate) fn api_client(stage: &Stage) -> Result<Client, PhaseError> {
    let client = services::read(Path::new(paths::ADMIN_KUBECONFIG)).map_err(BoxError::from).and_then(|kubeconfig| {
        let address = SocketAddr::from((stage.node.addresses.ipv4, ports::API));
        Ok(Client::from_kubeconfig(&kubeconfig)?.connect_to(address))
    });
    client.map_err(|source| PhaseError { name: "kubernetes", source })
}

/// Stops everything in order: kubelet, workloads, control plane, etcd, dockerd, containerd.
pub(crate) async fn shut_down(stage: &Stage, daemons: Daemons) {
    if let Some(kubelet) = &daemons.kubelet {
        kubelet.stop().await;
    }
    if daemons.containerd.is_some() {
        if let Err(error) = stop::stop_pods(STOP_GRACE).await {
            tracing::warn!("pods were not stopped in order: {}", chain(&error));
        }
    }
    stage.shutdown.cancel();
    if let Some(dockerd) = &daemons.dockerd {
        dockerd.stop().await;
    }
    if let Some(containerd) = &daemons.containerd {
        containerd.stop().await;
    }
}
