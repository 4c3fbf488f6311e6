//! One container's life under the stopwatch: run, ready, idle, stop, ready again, gone. Owns what is asked for at which
//! moment, so that no question disturbs what is measured next to it. Knows one run only, and sums nothing up.

use std::time::{Duration, Instant};

use kubake_contract::status::{Milestone, Phase as BootPhase, Status};
use kubake_contract::usage::Usage;
use kubake_contract::{endpoints, labels, names};
use serde::Serialize;
use thiserror::Error;

use crate::advice::Advice;
use crate::engine::command::{ContainerSize, ContainerSpec, Exec, Publish, Run, Start, Stop};
use crate::engine::guard::unique_name;
use crate::engine::{ContainerGuard, Engine, RunError};
use crate::printer::{Phase, seconds};
use crate::up;
use crate::up::http::{self, Server};
use crate::up::wait::{self, Listening, Show};

/// How long an answer may take that the cluster has ready.
const ANSWER: Duration = Duration::from_secs(20);
/// How long after the 200 `/status` may take to say what was used until then: reading it costs a moment.
const LATE: Duration = Duration::from_secs(2);
/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(100);
/// How much of the log is shown when a container ended.
const LOG_LINES: u32 = 30;
/// Bound for adding up the files of the volumes.
const ADDING_UP: Duration = Duration::from_secs(120);

/// Why a run failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The cluster did not become ready.
    #[error(transparent)]
    Wait(#[from] wait::Error),
    /// The Docker API did not become ready.
    #[error("the Docker API in `{container}` is not ready after {}{}", seconds(*.after), wait::log_text(.log))]
    Docker {
        /// The container.
        container: String,
        /// The bound.
        after: Duration,
        /// The end of its log.
        log: String,
    },
    /// The engine did not do what it was asked to.
    #[error("{doing}")]
    Command {
        /// What was to be done.
        doing: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// The container is gone, or the engine does not say where it answers.
    #[error("the engine does not say where port {port} of `{container}` is published")]
    NotPublished {
        /// The container.
        container: String,
        /// Its port.
        port: u16,
    },
    /// The container ended while it should have been running.
    #[error("the container `{container}` ended with status {code} after it was ready{}", wait::log_text(.log))]
    Ended {
        /// The container.
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// The container did not end in order.
    #[error("`docker stop {container}` ended it with status {code} and not with 0{}", wait::log_text(.log))]
    Stopped {
        /// The container.
        container: String,
        /// Its exit code.
        code: i64,
        /// The end of its log.
        log: String,
    },
    /// The container does not say what it used.
    #[error("ask `{container}` what it used")]
    Usage {
        /// The container.
        container: String,
        /// Why not.
        #[source]
        source: http::Error,
    },
    /// What it says is nothing we understand.
    #[error("understand what `{container}` says it used (status {status})")]
    StrangeUsage {
        /// The container.
        container: String,
        /// HTTP status.
        status: u16,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// The sizes of the volumes are missing.
    #[error("`du` in `{container}` does not say how large {path} is")]
    NoSize {
        /// The container.
        container: String,
        /// The volume's path.
        path: String,
    },
    /// The user asked to stop.
    #[error("interrupted while measuring")]
    Interrupted,
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Command { source, .. } => Some(source),
            Self::Wait(error) => Some(error),
            _ => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

fn doing(what: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Command { doing: what.into(), source }
}

/// What is done in each run.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// How long to wait for readiness.
    pub ready_timeout: Duration,
    /// How long the idle cluster is watched; zero skips it.
    pub idle: Duration,
    /// Whether it is started once more after its stop.
    pub restart: bool,
    /// The engine's network; none is the engine's default.
    pub network: Option<String>,
}

/// What one run measured. Times are wall time of this machine unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// From just before `docker run` to the first 200 of `/kubernetes-ready`.
    pub ready_seconds: f64,
    /// From just before `docker run` to the first 200 of `/docker-ready`.
    pub docker_ready_seconds: f64,
    /// What the container says itself: from its supervisor's start until it was ready.
    pub ready_after_ms: Option<u64>,
    /// Phases of the boot, on the container's clock.
    pub phases: Vec<BootPhase>,
    /// Milestones of the boot, on the container's clock.
    pub milestones: Vec<Milestone>,
    /// What the container had used when it was ready; none where the image is too old to say it.
    pub usage_at_ready: Option<Usage>,
    /// The idle cluster; none where it was not watched.
    pub idle: Option<Idle>,
    /// What lies in its volumes, after the idle time.
    pub volumes: Vec<VolumeSize>,
    /// What lies in the container's own layer (the engine's `SizeRw`), after the idle time.
    pub layer_bytes: Option<u64>,
    /// How long `docker stop` took.
    pub stop_seconds: f64,
    /// From just before `docker start` to the first 200; none where it was skipped.
    pub restart_ready_seconds: Option<f64>,
}

impl Measured {
    /// Bytes in all volumes together.
    #[must_use]
    pub fn volume_bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.bytes).sum()
    }
}

/// The cluster with nothing to do, from its readiness on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Idle {
    /// How long it was watched.
    pub seconds: f64,
    /// Processor seconds that were used in that time.
    pub cpu_seconds: f64,
    /// Processor seconds used per second.
    pub cpu_per_second: f64,
    /// What the container had used at the end of that time.
    pub usage_at_end: Usage,
}

impl Idle {
    fn between(first: &(Instant, Usage), last: (Instant, Usage)) -> Self {
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        let cpu_seconds = last.1.cpu_seconds - first.1.cpu_seconds;
        let cpu_per_second = if seconds > 0.0 { cpu_seconds / seconds } else { 0.0 };
        Self { seconds, cpu_seconds, cpu_per_second, usage_at_end: last.1 }
    }
}

/// How much lies in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSize {
    /// Where the container sees it.
    pub path: String,
    /// What `du` says: bytes on disk, without what is mounted below or lies behind links.
    pub bytes: u64,
}

/// A container that is about to be, or is, and that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Boot<'a> {
    engine: &'a Engine,
    guard: ContainerGuard,
}

impl<'a> Boot<'a> {
    /// Guards a name; runs nothing yet.
    pub(super) fn new(engine: &'a Engine) -> Self {
        Self { engine, guard: ContainerGuard::new(engine, &unique_name("kubake-bench")) }
    }

    /// The container's name.
    pub(super) fn name(&self) -> &str {
        self.guard.name()
    }

    /// Runs an image, given by its id so that all runs run the same one.
    pub(super) fn run(&self, engine: &Engine, image_id: &str, course: &Course) -> Result<Server, Error> {
        let name = self.name();
        let mut env = Vec::new();
        if course.ready_timeout > kubake_contract::BOOT_TIMEOUT {
            env.push((kubake_contract::env::BOOT_TIMEOUT.to_owned(), course.ready_timeout.as_secs().to_string()));
        }
        let run = Run {
            spec: ContainerSpec {
                name: Some(name.to_owned()),
                privileged: true,
                env,
                labels: vec![(labels::CLUSTER.to_owned(), name.to_owned())],
                // The engine chooses the port: nothing of ours has to be free, and clusters can run side by side.
                ports: vec![Publish {
                    host_ip: Some([127, 0, 0, 1].into()),
                    host_port: None,
                    container_port: kubake_contract::ports::HTTP,
                }],
                network: course.network.clone(),
                hostname: Some(names::CLUSTER.to_owned()),
                pull: Some("never".to_owned()),
                ..ContainerSpec::new(image_id)
            },
            detach: true,
            remove: false,
        };
        engine.run(&run).map_err(doing(format!("run the container `{name}`")))?;
        self.server(engine)
    }

    /// Where its HTTP port answers. A port that the engine chose is another one after each start.
    fn server(&self, engine: &Engine) -> Result<Server, Error> {
        let name = self.name();
        let port = kubake_contract::ports::HTTP;
        let found = engine.container(name).map_err(doing(format!("look for the container `{name}`")))?;
        match &found {
            // One that has ended has no ports, and its end is what there is to tell: whoever waits for it will.
            Some(container) if !container.state.running => Some(Server::new("127.0.0.1", 1)),
            Some(container) => up::reached(engine, container, port),
            None => None,
        }
        .ok_or_else(|| Error::NotPublished { container: name.to_owned(), port })
    }

    /// What it has used so far, and when it said so; none where its image is too old for the question.
    fn usage(&self, server: &Server) -> Result<Option<(Instant, Usage)>, Error> {
        let container = || self.name().to_owned();
        let answer = server
            .get(endpoints::USAGE, ANSWER)
            .map_err(|source| self.or_its_end(Error::Usage { container: container(), source }))?;
        let at = Instant::now();
        if answer.status == 404 {
            return Ok(None);
        }
        let usage = serde_json::from_str(&answer.body).map_err(|source| Error::StrangeUsage {
            container: container(),
            status: answer.status,
            source,
        })?;
        Ok(Some((at, usage)))
    }

    /// The container's end, if that is why it does not answer.
    fn or_its_end(&self, error: Error) -> Error {
        let engine = self.engine.for_cleanup();
        match engine.container(self.name()) {
            Ok(Some(container)) if !container.state.running => {
                Error::Ended { container: container.name, code: container.state.exit_code, log: self.log() }
            }
            _ => error,
        }
    }

    /// The end of its log.
    fn log(&self) -> String {
        self.engine.for_cleanup().log_tail(self.name(), LOG_LINES).unwrap_or_default()
    }

    /// Adds up what lies in its volumes.
    fn volumes(&self) -> Result<Vec<VolumeSize>, Error> {
        let name = self.name();
        let found = self.engine.container(name).map_err(doing(format!("look for the container `{name}`")))?;
        let mut paths: Vec<String> = found
            .into_iter()
            .flat_map(|container| container.mounts)
            .filter(|mount| mount.kind == "volume")
            .map(|mount| mount.destination)
            .collect();
        paths.sort();
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        // Files come and go while it looks, which makes `du` end with 1 although its sums are good.
        let script = r#"du -skx -- "$@" 2>/dev/null || true"#;
        let command = ["sh", "-c", script, "du"].map(str::to_owned).into_iter().chain(paths.iter().cloned()).collect();
        let exec = Exec { container: name.to_owned(), command, timeout: Some(ADDING_UP), ..Exec::default() };
        let output = self
            .engine
            .run_captured(&exec)
            .map_err(|source| self.or_its_end(doing(format!("add up the volumes of `{name}`"))(source)))?;
        parse_sizes(&output, &paths).map_err(|path| Error::NoSize { container: name.to_owned(), path })
    }

    /// The bytes of its own layer; none where the engine does not know.
    fn layer(&self) -> Result<Option<u64>, Error> {
        let name = self.name();
        self.engine
            .run_json(&ContainerSize { container: name.to_owned() })
            .map_err(doing(format!("ask how large the layer of `{name}` is")))
    }

    /// Stops it; answers with how long that took.
    fn stop(&self) -> Result<Duration, Error> {
        let name = self.name();
        let began = Instant::now();
        self.engine
            .run(&Stop { container: name.to_owned(), timeout: None })
            .map_err(doing(format!("stop the container `{name}`")))?;
        let took = began.elapsed();
        let found = self.engine.container(name).map_err(doing(format!("look for the container `{name}`")))?;
        match found.map(|container| container.state.exit_code) {
            Some(0) => Ok(took),
            code => Err(Error::Stopped { container: name.to_owned(), code: code.unwrap_or(-1), log: self.log() }),
        }
    }

    /// Removes it with its volumes.
    pub(super) fn remove(self) -> Result<(), Error> {
        let what = format!("remove the container `{}`", self.name());
        self.guard.remove().map_err(doing(what))
    }
}

/// One run, from nothing to nothing.
///
/// # Errors
/// See [`Error`]; the container is removed in any case.
pub(super) fn measure(engine: &Engine, image_id: &str, course: &Course, phase: &Phase) -> Result<Measured, Error> {
    let cancel = engine.runner().cancel();
    let boot = Boot::new(engine);
    phase.message("boots");
    let began = Instant::now();
    let server = boot.run(engine, image_id, course)?;
    let docker = Listening::to(&server, endpoints::DOCKER_READY);
    let ready = wait::ready(engine, boot.name(), &server, course.ready_timeout, Show::Nothing)?;

    // The idle time begins here, so this is the first thing to ask.
    let first = boot.usage(&server)?;
    let status = match ready.status {
        Some(status) if first.is_some() && status.usage_at_ready.is_none() => Some(with_usage(engine, &server, status)),
        other => other,
    };
    let idle = match &first {
        Some(first) if !course.idle.is_zero() => {
            phase.message(format_args!("idles for {}", seconds(course.idle)));
            // What the questions above took is part of the time that was asked for.
            if !cancel.sleep(course.idle.saturating_sub(first.0.elapsed())) {
                return Err(Error::Interrupted);
            }
            boot.usage(&server)?.map(|last| Idle::between(first, last))
        }
        _ => None,
    };
    let docker_ready = docker.heard(began + course.ready_timeout, cancel);
    if cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    let docker_ready = docker_ready.ok_or_else(|| {
        boot.or_its_end(Error::Docker {
            container: boot.name().to_owned(),
            after: course.ready_timeout,
            log: boot.log(),
        })
    })?;

    phase.message("adds up its files");
    let volumes = boot.volumes()?;
    let layer_bytes = boot.layer()?;
    phase.message("stops");
    let stop = boot.stop()?;
    let restart = if course.restart {
        phase.message("boots again");
        let began = Instant::now();
        let start = Start { container: boot.name().to_owned(), attach: false };
        engine.run(&start).map_err(doing(format!("start the container `{}`", boot.name())))?;
        let server = boot.server(engine)?;
        let ready = wait::ready(engine, boot.name(), &server, course.ready_timeout, Show::Nothing)?;
        Some(ready.at.duration_since(began))
    } else {
        None
    };
    phase.message("is removed");
    boot.remove()?;

    let (ready_after_ms, phases, milestones, usage_at_ready) = match status {
        Some(status) => (status.ready_after_ms, status.phases, status.milestones, status.usage_at_ready),
        None => Default::default(),
    };
    Ok(Measured {
        ready_seconds: ready.at.duration_since(began).as_secs_f64(),
        docker_ready_seconds: docker_ready.duration_since(began).as_secs_f64(),
        ready_after_ms,
        phases,
        milestones,
        usage_at_ready,
        idle,
        volumes,
        layer_bytes,
        stop_seconds: stop.as_secs_f64(),
        restart_ready_seconds: restart.map(|restart| restart.as_secs_f64()),
    })
}

/// The status once it says what was used until readiness, or as it was where it does not come to that.
fn with_usage(engine: &Engine, server: &Server, status: Status) -> Status {
    let deadline = Instant::now() + LATE;
    while Instant::now() < deadline && engine.runner().cancel().sleep(LOOK) {
        let answer = server.get(endpoints::STATUS, ANSWER).ok().and_then(|answer| wait::parse_status(&answer.body));
        if let Some(answer) = answer.filter(|answer| answer.usage_at_ready.is_some()) {
            return answer;
        }
    }
    status
}

/// Reads `du -k`; the error is the path that is missing.
fn parse_sizes(output: &str, paths: &[String]) -> Result<Vec<VolumeSize>, String> {
    let sizes: Vec<(&str, u64)> = output
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(size, path)| Some((path.trim_end(), size.trim().parse::<u64>().ok()? * 1024)))
        .collect();
    paths
        .iter()
        .map(|path| {
            let (_, bytes) = sizes.iter().find(|(found, _)| found == path).ok_or_else(|| path.clone())?;
            Ok(VolumeSize { path: path.clone(), bytes: *bytes })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_all_volumes_or_none() {
        let paths = ["/var/lib/containerd", "/var/lib/docker"].map(str::to_owned);
        let sizes = parse_sizes("412\t/var/lib/containerd\n8\t/var/lib/docker\n", &paths).unwrap();
        assert_eq!(sizes.iter().map(|size| size.bytes).collect::<Vec<_>>(), [412 * 1024, 8 * 1024]);
        assert_eq!(parse_sizes("412\t/var/lib/containerd", &paths), Err("/var/lib/docker".to_owned()));
    }

    #[test]
    fn idle_time_is_measured_and_not_assumed() {
        let usage = |cpu_seconds| Usage { cpu_seconds, ..Usage::default() };
        let began = Instant::now();
        let idle = Idle::between(&(began, usage(6.0)), (began + Duration::from_secs(20), usage(7.0)));
        assert!((idle.cpu_per_second - 0.05).abs() < 1e-9 && (idle.seconds - 20.0).abs() < 1e-9, "{idle:?}");
        assert!((idle.usage_at_end.cpu_seconds - 7.0).abs() < 1e-9);
        assert!(Idle::between(&(began, usage(6.0)), (began, usage(6.0))).cpu_per_second.abs() < 1e-9);
    }
}
