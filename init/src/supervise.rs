//! The supervisor process: settings and preflight, then a runtime in which the HTTP server is the first thing that
//! lives and one role (boot or half a bake) runs to its end. Turns every outcome into an exit code.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::bake;
use crate::boot::{self, Daemons, Options};
use crate::contract::{BOOT_TIMEOUT, ClusterSettings, env, exit, paths, ports};
use crate::host::{cgroups, preflight};
use crate::http;
use crate::identity;
use crate::invocation::Role;
use crate::phases::{BoxError, Events, chain};
use crate::stage::Stage;
use crate::status::{Board, State};
use crate::token::Token;
use crate::wishes::Wishes;

/// What an orderly stop may take. `docker stop` kills after 10 s.
const STOP_TIMEOUT: Duration = Duration::from_secs(9);

/// Runs one role; returns the exit code.
#[must_use]
pub fn run(role: Role, has_events: bool) -> i32 {
    // Started through /proc/self/exe, it would be called `exe` in every list of processes.
    if let Err(error) = nix::sys::prctl::set_name(c"kubake-init") {
        tracing::debug!("this process keeps its name: {error}");
    }
    let board = Board::new();
    let token = match Token::from_sources(std::env::var_os(env::TOKEN), std::env::var_os(env::TOKEN_FILE)) {
        Ok(token) => token,
        Err(error) => return refuse(&chain(&error)),
    };
    let (identity, wishes) = match asked_for(role) {
        Ok(asked_for) => asked_for,
        Err(reasons) => return refuse(&reasons.join("; ")),
    };
    let settings = match load_settings(Path::new(paths::SETTINGS)) {
        Ok(settings) => settings,
        Err(error) => return refuse(&chain(error.as_ref())),
    };
    let is_docker_tcp_served = match is_docker_tcp_served(std::env::var_os(env::DOCKER_TCP).as_deref()) {
        Ok(is_served) => is_served,
        Err(problem) => return refuse(&problem),
    };
    let facts = match preflight::check(Path::new("/")) {
        Ok(facts) => facts,
        Err(refusals) => {
            let reasons: Vec<String> = refusals.iter().map(|refusal| chain(refusal)).collect();
            return refuse(&reasons.join("; "));
        }
    };
    // Must happen before the runtime starts threads: a namespace is a thread's.
    if let Err(error) = cgroups::enter_own_namespace() {
        return refuse(&chain(&error));
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail("cannot start the runtime", &error.to_string()),
    };
    let order =
        Order { role, events: Events::new(has_events), settings, facts, identity, wishes, is_docker_tcp_served, token };
    let code = runtime.block_on(supervise(order, board));
    // Blocking tasks (a store being copied) must not hold up the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

/// What is to be done, and with what: found to make sense before anything is touched.
struct Order {
    role: Role,
    events: Events,
    settings: ClusterSettings,
    facts: preflight::Facts,
    identity: identity::Request,
    wishes: Wishes,
    is_docker_tcp_served: bool,
    token: Option<Token>,
}

async fn supervise(order: Order, board: Board) -> i32 {
    let Order { role, events, settings, facts, identity, wishes, is_docker_tcp_served, token } = order;
    let shutdown = CancellationToken::new();
    let listener = match TcpListener::bind(("0.0.0.0", ports::HTTP)).await {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("cannot listen on port {}", ports::HTTP), &error.to_string()),
    };
    let site = Arc::new(http::Site {
        board: board.clone(),
        settings: settings.clone(),
        kubeconfig_path: PathBuf::from(paths::ADMIN_KUBECONFIG),
        docker_client_dir: PathBuf::from(paths::DOCKER_PKI),
        logs_dir: PathBuf::from(paths::LOGS),
        root: PathBuf::from("/"),
        api_port: api_port(),
        token,
        journal: http::Journal::default(),
    });
    let server = tokio::spawn(http::serve(listener, site, shutdown.clone().cancelled_owned()));
    let stop = CancellationToken::new();
    let stop_now = CancellationToken::new();
    if let Err(error) = listen_for_signals(&stop, &stop_now) {
        return fail("cannot listen for signals", &error.to_string());
    }

    let mut stage = Stage::new(settings, board.clone(), facts, wishes, shutdown.clone());
    stage.is_docker_tcp_served = is_docker_tcp_served;
    let code = tokio::select! {
        code = perform(role, &mut stage, events, identity, &stop) => code,
        () = stop_now.cancelled() => {
            tracing::warn!("second signal: stopping at once");
            exit::FAILED
        }
    };
    shutdown.cancel();
    // Its connections get the answer they wait for, but not for ever.
    let _ = tokio::time::timeout(Duration::from_millis(500), server).await;
    code
}

async fn perform(
    role: Role,
    stage: &mut Stage,
    events: Events,
    identity: identity::Request,
    stop: &CancellationToken,
) -> i32 {
    match role {
        Role::Boot => perform_boot(stage, events, identity, stop).await,
        Role::BakeImages => perform_bake(bake::bake_images(stage, events), stop).await,
        Role::BakeCluster => perform_bake(bake::bake_cluster(stage, events), stop).await,
        Role::BakeCustom => perform_bake(bake::bake_custom(stage, events), stop).await,
    }
}

/// A bake that is told to stop is thrown away: nothing in it needs an order.
async fn perform_bake(
    work: impl Future<Output = Result<(), crate::phases::PhaseError>>,
    stop: &CancellationToken,
) -> i32 {
    tokio::select! {
        result = work => match result {
            Ok(()) => exit::OK,
            Err(error) => fail("the bake failed", &chain(&error)),
        },
        () = stop.cancelled() => fail("the bake was stopped", "a signal asked for it"),
    }
}

async fn perform_boot(stage: &mut Stage, events: Events, identity: identity::Request, stop: &CancellationToken) -> i32 {
    let options = Options {
        is_static_ip_checked: std::env::var(env::STATIC_IP_CHECK).as_deref() != Ok("off"),
        timeout: boot_timeout(),
        events,
    };
    let mut daemons = Daemons::default();
    let outcome = tokio::select! {
        outcome = boot::run(stage, &mut daemons, options, identity, stop) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    let board = stage.board.clone();
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
    let stopped = tokio::time::timeout(STOP_TIMEOUT, boot::shut_down(stage, daemons)).await;
    if stopped.is_err() {
        tracing::warn!("not everything stopped within {} s; the rest is killed", STOP_TIMEOUT.as_secs());
    }
    stage.detach_network().await;
    match outcome {
        Ok(()) => {
            tracing::info!("stopped after {:.1} s of life", board.uptime().as_secs_f64());
            code
        }
        // Said last, so that it is the end of `docker logs`.
        Err(error) => fail("the boot failed", &chain(&error)),
    }
}

/// First signal: an orderly stop. Second one: at once. SIGHUP counts too, since a closed terminal means it.
fn listen_for_signals(stop: &CancellationToken, stop_now: &CancellationToken) -> std::io::Result<()> {
    for kind in [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::hangup()] {
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

fn load_settings(path: &Path) -> Result<ClusterSettings, BoxError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("cannot read {}: {error}; this program is PID 1 of an image that `kubake bake` made", path.display())
    })?;
    parse_settings(&text).map_err(|problem| format!("{}: {problem}", path.display()).into())
}

fn parse_settings(text: &str) -> Result<ClusterSettings, String> {
    let settings: ClusterSettings = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let problems = settings.problems();
    if problems.is_empty() {
        Ok(settings)
    } else {
        Err(problems.into_iter().map(|(key, problem)| format!("{key}: {problem}")).collect::<Vec<_>>().join("; "))
    }
}

/// What the environment asks of the container's identity and of all else, or everything that is wrong with it.
fn asked_for(role: Role) -> Result<(identity::Request, Wishes), Vec<String>> {
    let variable = |name: &str| std::env::var(name).ok();
    if role != Role::Boot {
        return Ok((identity::Request::default(), Wishes::of_a_bake(variable)?));
    }
    let is_made = identity::is_made_at(Path::new("/"));
    let identity = identity::Request::from_variables(variable, SystemTime::now(), is_made)
        .map_err(|errors| errors.iter().map(|error| chain(error)).collect());
    both(identity, Wishes::from_variables(variable))
}

/// Both values, or the mistakes of both.
fn both<A, B>(one: Result<A, Vec<String>>, other: Result<B, Vec<String>>) -> Result<(A, B), Vec<String>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err(one.err().into_iter().chain(other.err()).flatten().collect()),
    }
}

fn api_port() -> u16 {
    std::env::var(env::API_PORT).ok().and_then(|port| port.parse().ok()).unwrap_or(ports::API)
}

/// What the variable says. A mistyped `off` would leave a port open that somebody wanted closed, so it is refused.
fn is_docker_tcp_served(value: Option<&OsStr>) -> Result<bool, String> {
    match value {
        None => Ok(true),
        Some(value) if value == "on" => Ok(true),
        Some(value) if value == "off" => Ok(false),
        Some(value) => {
            Err(format!("{}: `{}` is neither `on` (the default) nor `off`", env::DOCKER_TCP, value.to_string_lossy()))
        }
    }
}

fn boot_timeout() -> Duration {
    let seconds = std::env::var(env::BOOT_TIMEOUT).ok().and_then(|seconds| seconds.parse().ok());
    seconds.map_or(BOOT_TIMEOUT, Duration::from_secs)
}

fn refuse(reason: &str) -> i32 {
    tracing::error!("{reason}");
    exit::USAGE
}

fn fail(what: &str, reason: &str) -> i32 {
    tracing::error!("{what}: {reason}");
    exit::FAILED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_settings_are_refused_with_the_key() {
        assert!(parse_settings("staticIp: 127.0.0.1\n").is_err_and(|problem| problem.contains("staticIp")));
        assert!(parse_settings("statikIp: 10.0.0.1\n").is_err_and(|problem| problem.contains("statikIp")));
        assert_eq!(parse_settings("{}"), Ok(ClusterSettings::default()));
    }

    #[test]
    fn the_plain_docker_port_is_on_or_off_and_nothing_in_between() {
        let parsed = |value: &str| is_docker_tcp_served(Some(OsStr::new(value)));
        assert_eq!(is_docker_tcp_served(None), Ok(true));
        assert_eq!(parsed("on"), Ok(true));
        assert_eq!(parsed("off"), Ok(false));
        for mistyped in ["", "OFF", "false", "0", "of"] {
            let problem = parsed(mistyped).unwrap_err();
            assert!(
                problem.starts_with("KUBAKE_DOCKER_TCP: ") && problem.contains(&format!("`{mistyped}`")),
                "{problem}"
            );
        }
    }
}
