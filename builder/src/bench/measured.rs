//! What one run does and what it measured.

use std::time::{Duration, Instant};

use kubake_contract::status::{Milestone, Phase as BootPhase};
use kubake_contract::usage::Usage;
use serde::Serialize;

/// What is done in each run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Course {
    /// How long to wait for readiness.
    pub(crate) ready_timeout: Duration,
    /// How long the idle cluster is watched; zero skips it.
    pub(crate) idle: Duration,
    /// Whether it is started once more after its stop.
    pub(crate) restart: bool,
    /// The engine's network; none is the engine's default.
    pub(crate) network: Option<String>,
}

/// What one run measured. Times are wall time of this machine unless they say otherwise.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Measured {
    /// From just before `docker run` to the first 200 of `/kubernetes-ready`.
    pub(crate) ready_seconds: f64,
    /// From just before `docker run` to the first 200 of `/docker-ready`.
    pub(crate) docker_ready_seconds: f64,
    /// What the container says itself: from its supervisor's start until it was ready.
    pub(crate) ready_after_ms: Option<u64>,
    /// Phases of the boot, on the container's clock.
    pub(crate) phases: Vec<BootPhase>,
    /// Milestones of the boot, on the container's clock.
    pub(crate) milestones: Vec<Milestone>,
    /// What the container had used when it was ready; none where the image is too old to say it.
    pub(crate) usage_at_ready: Option<Usage>,
    /// The idle cluster; none where it was not watched.
    pub(crate) idle: Option<Idle>,
    /// What lies in its volumes, after the idle time.
    pub(crate) volumes: Vec<VolumeSize>,
    /// What lies in the container's own layer (the engine's `SizeRw`), after the idle time.
    pub(crate) layer_bytes: Option<u64>,
    /// How long `docker stop` took.
    pub(crate) stop_seconds: f64,
    /// From just before `docker start` to the first 200; none where it was skipped.
    pub(crate) restart_ready_seconds: Option<f64>,
}

impl Measured {
    /// Bytes in all volumes together.
    #[must_use]
    pub(crate) fn volume_bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.bytes).sum()
    }
}

/// The cluster with nothing to do, from its readiness on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Idle {
    /// How long it was watched.
    pub(crate) seconds: f64,
    /// Processor seconds that were used in that time.
    pub(crate) cpu_seconds: f64,
    /// Processor seconds used per second.
    pub(crate) cpu_per_second: f64,
    /// What the container had used at the end of that time.
    pub(crate) usage_at_end: Usage,
}

impl Idle {
    pub(super) fn between(first: &(Instant, Usage), last: (Instant, Usage)) -> Self {
        let seconds = last.0.duration_since(first.0).as_secs_f64();
        let cpu_seconds = last.1.cpu_seconds - first.1.cpu_seconds;
        let cpu_per_second = if seconds > 0.0 { cpu_seconds / seconds } else { 0.0 };
        Self { seconds, cpu_seconds, cpu_per_second, usage_at_end: last.1 }
    }
}

/// How much lies in a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VolumeSize {
    /// Where the container sees it.
    pub(crate) path: String,
    /// What `du` says: bytes on disk, without what is mounted below or lies behind links.
    pub(crate) bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

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
