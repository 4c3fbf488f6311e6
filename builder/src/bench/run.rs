//! One measured life of a node: create, ready, idle, stop, ready again, remove. Owns what is read at which
//! moment, so that no question disturbs what is measured next to it. Knows one run only, and sums nothing up.

use std::time::{Duration, Instant};

use kubake_contract::Endpoint;
use kubake_contract::status::Status;

use super::boot::{ANSWER, Boot};
use super::measured::{Course, Idle, Measured};
use super::run_error::Error;
use crate::engine::Engine;
use crate::host::Host;
use crate::node::http::Server;
use crate::node::{Listening, Show, parse_status, wait_until_ready};
use crate::printer::{Phase, seconds};

/// How long after the 200 `/status` may take to say what was used until then: reading it costs a moment.
const LATE: Duration = Duration::from_secs(2);

/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(100);

/// One run, from nothing to nothing.
///
/// # Errors
/// See [`Error`]; the container is removed in any case.
pub(super) fn measure(engine: &Engine, image_id: &str, course: &Course, phase: &Phase) -> Result<Measured, Error> {
    let cancel = engine.runner().cancel();
    let host = Host::new(engine);
    let boot = Boot::new(engine);
    phase.message("boots");
    let began = Instant::now();
    let server = boot.run(&host, image_id, course)?;
    let docker = Listening::to(&server, Endpoint::DockerReady.path());
    let ready = wait_until_ready(&host, &boot.node(), &server, course.ready_timeout, Show::Nothing)?;

    // The idle time begins here, so this is read first.
    let first = boot.usage(&server)?;
    let status = match ready.status {
        Some(status) if first.is_some() && status.usage_at_ready.is_none() => Some(with_usage(engine, &server, status)),
        other => other,
    };
    let idle = match &first {
        Some(first) if !course.idle.is_zero() => {
            phase.message(format_args!("idles for {}", seconds(course.idle)));
            // The requests above took part of the idle time.
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
        boot.start()?;
        let server = boot.server(&host)?;
        let ready = wait_until_ready(&host, &boot.node(), &server, course.ready_timeout, Show::Nothing)?;
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
        let answer = server.get(Endpoint::Status.path(), ANSWER).ok().and_then(|answer| parse_status(&answer.body));
        if let Some(answer) = answer.filter(|answer| answer.usage_at_ready.is_some()) {
            return answer;
        }
    }
    status
}
