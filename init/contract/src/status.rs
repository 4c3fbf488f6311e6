//! What `/status` serves: phases, components and readiness of a boot, as JSON.

use serde::{Deserialize, Serialize};

use crate::usage::Usage;

/// The whole, as `/status` serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Where the container is in its life.
    pub state: State,
    /// Why, where `state` alone does not say it (a failure's reason, for a person to read).
    pub reason: Option<String>,
    /// Phases in the order they began.
    pub phases: Vec<Phase>,
    pub components: Vec<Component>,
    /// Whether the Docker API answered in this boot.
    pub docker: Readiness,
    /// Whether the cluster proved itself in this boot.
    pub kubernetes: Readiness,
    /// Milliseconds from the supervisor's start until the cluster was first ready.
    pub ready_after_ms: Option<u64>,
    /// Hooks of this boot, in the order in which they began.
    #[serde(default)]
    pub hooks: Vec<Hook>,
    /// What became true on the way there, in the order in which it was seen.
    #[serde(default)]
    pub milestones: Vec<Milestone>,
    /// What the container had used when the cluster was first ready.
    #[serde(default)]
    pub usage_at_ready: Option<Usage>,
}

impl Status {
    /// The status of a container in which nothing has happened yet.
    #[must_use]
    pub fn booting() -> Self {
        Self {
            state: State::Booting,
            reason: None,
            phases: Vec::new(),
            components: Vec::new(),
            docker: Readiness::missing("dockerd has not been started in this boot"),
            kubernetes: Readiness::missing("the boot has only begun"),
            ready_after_ms: None,
            hooks: Vec::new(),
            milestones: Vec::new(),
            usage_at_ready: None,
        }
    }
}

/// A hook of this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// Its moment and file, such as `kubernetes-ready/10-apply`.
    pub name: String,
    /// Milliseconds from the supervisor's start to the hook's.
    pub started_ms: u64,
    /// How long it took; none while it runs.
    pub elapsed_ms: Option<u64>,
    /// How it ended, or that it runs.
    pub outcome: Outcome,
    /// The reason of a failure.
    pub detail: Option<String>,
}

/// Something that became true for the first time in this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Milestone {
    /// What, such as `api-ready` or `pod kube-system/coredns`.
    pub name: String,
    /// Milliseconds from the supervisor's start until it was seen.
    pub at_ms: u64,
}

/// Where the container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Phases are running.
    Booting,
    /// The cluster proved itself at least once.
    Running,
    /// A stop was asked for.
    Stopping,
    /// It will not come up; the process is about to end non-zero.
    Failed,
}

/// One step of the boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Phase {
    /// Name, such as `network`.
    pub name: String,
    /// Milliseconds from the supervisor's start to the phase's.
    pub started_ms: u64,
    /// How long it took; none while it runs.
    pub elapsed_ms: Option<u64>,
    /// How it ended, or that it runs.
    pub outcome: Outcome,
    /// What it has to say: the reason of a failure, or a fact worth knowing.
    pub detail: Option<String>,
}

/// How a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Running,
    /// It ended well.
    Done,
    /// It failed. A phase that does ends the boot; a hook does where that was asked for.
    Failed,
}

/// One supervised process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// Name, such as `kubelet`.
    pub name: String,
    /// How it stands.
    pub state: ComponentState,
    /// How often it was started again after an unexpected end.
    pub restarts: u32,
    /// Its last unexpected end, in words.
    pub last_exit: Option<String>,
}

/// How a supervised process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComponentState {
    /// Started, has not said that it serves.
    Starting,
    Running,
    /// Ended unexpectedly and waits to be started again.
    BackingOff,
    /// Received the signal to stop.
    Stopping,
    /// Ended after the signal to stop.
    Stopped,
    /// Will not be started again.
    Failed,
}

/// Ready, or not and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether it is ready now.
    pub ready: bool,
    /// What is missing, in words a person can act on; empty when ready.
    pub missing: Vec<String>,
}

impl Readiness {
    /// Not ready, for one reason.
    #[must_use]
    pub fn missing(reason: impl Into<String>) -> Self {
        Self { ready: false, missing: vec![reason.into()] }
    }

    /// Ready when nothing is missing.
    #[must_use]
    pub fn from_missing(missing: Vec<String>) -> Self {
        Self { ready: missing.is_empty(), missing }
    }
}
