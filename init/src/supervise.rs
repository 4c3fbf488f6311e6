//! The supervisor process: checks its launch, then starts a runtime in which the HTTP server comes first and one task
//! (a boot or a part of a bake) runs to its end. Turns every outcome into an exit code.

use std::io;
use std::net::TcpListener as Listener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kubake_contract::error_chain::chain;
use kubake_contract::status::State;
use kubake_contract::{Node, exit, paths, ports};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::bake::{self, Bake};
use crate::boot::Boot;
use crate::events::Events;
use crate::host::cgroups;
use crate::http;
use crate::identity;
use crate::invocation::Task;
use crate::launch::Launch;
use crate::listen;
use crate::node_runtime::NodeRuntime;
use crate::own_hosts::OwnHosts;
use crate::phases::Phase;
use crate::role::control_plane;
use crate::status::Board;

/// Runs one task; returns the exit code.
#[must_use]
pub fn run(task: Task, has_events: bool) -> i32 {
    // A process started through /proc/self/exe is named `exe` in lists of processes.
    if let Err(error) = nix::sys::prctl::set_name(c"kubake-init") {
        tracing::debug!("this process keeps its name: {error}");
    }
    // Before everything else: an engine forwards callers to the ports as soon as the container exists.
    let doors = Doors::open();
    let board = Board::new();
    let launch = match Launch::gather(task, |name| std::env::var_os(name), Path::new("/"), SystemTime::now()) {
        Ok(launch) => launch,
        Err(mistakes) => return refuse(&mistakes.join("; ")),
    };
    // Before the runtime starts threads, because a namespace belongs to a thread.
    if let Err(error) = cgroups::enter_own_namespace() {
        return refuse(&chain(&error));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("cannot start the runtime", &error.to_string()),
    };
    let code = runtime.block_on(supervise(launch, doors, Events::new(has_events), board));
    // Blocking tasks (a store being copied) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

/// The ports of the HTTP server, open and not yet served.
struct Doors {
    http: io::Result<Listener>,
    web: io::Result<Listener>,
}

impl Doors {
    fn open() -> Self {
        Self { http: listen::everywhere(ports::HTTP), web: listen::everywhere(ports::WEB) }
    }

    /// Makes them part of the runtime. Only people need the second, so a boot does without it.
    fn listeners(self) -> io::Result<Vec<TcpListener>> {
        let mut listeners = vec![TcpListener::from_std(self.http?)?];
        match self.web.and_then(TcpListener::from_std) {
            Ok(listener) => listeners.push(listener),
            Err(error) => tracing::warn!("port {} for browsers is not served: {error}", ports::WEB),
        }
        Ok(listeners)
    }
}

async fn supervise(launch: Launch, doors: Doors, events: Events, board: Board) -> i32 {
    let Launch { task, settings, facts, identity, boot_options, token } = launch;
    let shutdown = CancellationToken::new();
    let listeners = match doors.listeners() {
        Ok(listeners) => listeners,
        Err(error) => return fail(&format!("cannot listen on port {}", ports::HTTP), &error.to_string()),
    };
    let api_port = boot_options.api_port;
    let node = Node::control_plane(&settings);
    let hostname = nix::unistd::gethostname().unwrap_or_default();
    let names = identity::own_names(&settings, &node, &identity, &hostname.to_string_lossy());
    let own_hosts = OwnHosts::new(names);
    let runtime = NodeRuntime::new(settings, board.clone(), facts, boot_options, own_hosts.clone(), shutdown.clone());
    let site = Arc::new(http::Site {
        board,
        settings: runtime.settings.clone(),
        node: runtime.node.clone(),
        kubeconfig_path: PathBuf::from(paths::ADMIN_KUBECONFIG),
        docker_client_dir: PathBuf::from(paths::DOCKER_PKI),
        logs_dir: PathBuf::from(paths::LOGS),
        root: PathBuf::from("/"),
        api_port,
        own_hosts,
        token,
        journal: http::Journal::default(),
    });
    let server = tokio::spawn(http::serve(listeners, site, shutdown.clone().cancelled_owned()));
    let stop = CancellationToken::new();
    let stop_now = CancellationToken::new();
    if let Err(error) = listen_for_signals(&stop, &stop_now) {
        return fail("cannot listen for signals", &error.to_string());
    }

    let code = tokio::select! {
        code = perform(task, runtime, events, identity, &stop) => code,
        () = stop_now.cancelled() => {
            tracing::warn!("second signal: stopping at once");
            exit::FAILED
        }
    };
    shutdown.cancel();
    // Open connections get their answers, within a bound.
    let _ = tokio::time::timeout(Duration::from_millis(500), server).await;
    code
}

async fn perform(
    task: Task,
    runtime: NodeRuntime,
    events: Events,
    identity: identity::Request,
    stop: &CancellationToken,
) -> i32 {
    match task {
        Task::Boot => perform_boot(Boot::new(runtime, &control_plane::BOOT, events, identity), stop).await,
        Task::BakeImages => perform_bake(Bake::new(runtime, events), &bake::IMAGES, stop).await,
        Task::BakeCluster => perform_bake(Bake::new(runtime, events), &bake::CLUSTER, stop).await,
        Task::BakeCustom => perform_bake(Bake::new(runtime, events), &bake::CUSTOM, stop).await,
    }
}

/// `kubake` removes the container of an interrupted bake, so nothing needs to stop in order.
async fn perform_bake(mut bake: Bake, plan: &[Phase<Bake>], stop: &CancellationToken) -> i32 {
    tokio::select! {
        result = bake.run(plan) => match result {
            Ok(()) => exit::OK,
            Err(error) => fail("the bake failed", &chain(&error)),
        },
        () = stop.cancelled() => fail("the bake was stopped", "a signal ended it"),
    }
}

async fn perform_boot(mut boot: Boot, stop: &CancellationToken) -> i32 {
    let outcome = tokio::select! {
        outcome = boot.run(stop) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    let board = boot.runtime.board.clone();
    let code = match &outcome {
        Ok(()) => {
            tracing::info!("stopping");
            board.set_state(State::Stopping, None);
            exit::OK
        }
        Err(error) => {
            board.set_state(State::Failed, Some(chain(error)));
            exit::FAILED
        }
    };
    let limit = boot.runtime.boot_options.orderly_stop();
    if tokio::time::timeout(limit, boot.shut_down()).await.is_err() {
        tracing::warn!("not everything stopped within {} s; the rest is killed", limit.as_secs());
    }
    boot.runtime.detach_network().await;
    match outcome {
        Ok(()) => {
            tracing::info!("stopped after {:.1} s", board.uptime().as_secs_f64());
            code
        }
        // Last, so that it is the end of `docker logs`.
        Err(error) => fail("the boot failed", &chain(&error)),
    }
}

/// The first signal stops in order, the second at once. A closed terminal sends SIGHUP, which counts, too.
fn listen_for_signals(stop: &CancellationToken, stop_now: &CancellationToken) -> std::io::Result<()> {
    // These have no meaning here, but without a handler they would kill the supervisor. tokio keeps a handler for ever.
    for kind in [SignalKind::user_defined1(), SignalKind::user_defined2(), SignalKind::alarm()] {
        drop(signal(kind)?);
    }
    // LXC and power daemons send SIGPWR to halt a container.
    let power = SignalKind::from_raw(nix::libc::SIGPWR);
    let stops = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup(), power];
    for kind in stops {
        let mut stream = signal(kind)?;
        let (stop, stop_now) = (stop.clone(), stop_now.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() {
                if stop.is_cancelled() {
                    stop_now.cancel();
                }
                stop.cancel();
            }
        });
    }
    Ok(())
}

fn refuse(reason: &str) -> i32 {
    tracing::error!("{reason}");
    exit::USAGE
}

fn fail(what: &str, reason: &str) -> i32 {
    tracing::error!("{what}: {reason}");
    exit::FAILED
}
