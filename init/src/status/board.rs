//! The board: each event of a boot changes the document that `/status` serves, and readers receive each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kubake_contract::status::{Component, ComponentState, Hook, Milestone, Outcome, Phase, Readiness, State, Status};
use kubake_contract::usage::Usage;
use tokio::sync::watch;

/// Milestones that a boot may record: far more than the pods of any image.
const MOST_MILESTONES: usize = 1000;

/// The only holder of [`Status`]. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Board {
    started: Instant,
    /// Whether API server, kubelet and the daemons that they need work; not a part of the document.
    has_infrastructure: Arc<AtomicBool>,
    sender: Arc<watch::Sender<Status>>,
}

impl Default for Board {
    fn default() -> Self {
        Self::new()
    }
}

impl Board {
    /// Creates a board without events. Its clock starts now.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            has_infrastructure: Arc::default(),
            sender: Arc::new(watch::Sender::new(Status::booting())),
        }
    }

    /// Returns the time since the supervisor started.
    #[must_use]
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns a reader that receives each change.
    #[must_use]
    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.sender.subscribe()
    }

    /// Returns a copy of the present status.
    #[must_use]
    pub(crate) fn snapshot(&self) -> Status {
        self.sender.borrow().clone()
    }

    /// Records that a phase starts now.
    pub(crate) fn phase_started(&self, name: &str) {
        let started_ms = millis(self.uptime());
        self.sender.send_modify(|status| {
            status.phases.push(Phase {
                name: name.to_owned(),
                started_ms,
                elapsed_ms: None,
                outcome: Outcome::Running,
                detail: None,
            });
        });
    }

    /// Records that a phase ends now and returns how long it took.
    pub(crate) fn phase_ended(&self, name: &str, outcome: Outcome, detail: Option<String>) -> Duration {
        let now = millis(self.uptime());
        let mut elapsed = 0;
        self.sender.send_modify(|status| {
            if let Some(phase) = status.phases.iter_mut().rev().find(|phase| phase.name == name) {
                elapsed = now.saturating_sub(phase.started_ms);
                phase.elapsed_ms = Some(elapsed);
                phase.outcome = outcome;
                phase.detail = detail;
            }
        });
        Duration::from_millis(elapsed)
    }

    /// Records that a hook starts now.
    pub(crate) fn hook_started(&self, name: &str) {
        let started_ms = millis(self.uptime());
        self.sender.send_modify(|status| {
            status.hooks.push(Hook {
                name: name.to_owned(),
                started_ms,
                elapsed_ms: None,
                outcome: Outcome::Running,
                detail: None,
            });
        });
    }

    /// Records that a hook ends now, with the reason if it failed.
    pub(crate) fn hook_ended(&self, name: &str, failure: Option<String>) {
        let now = millis(self.uptime());
        self.sender.send_modify(|status| {
            if let Some(hook) = status.hooks.iter_mut().rev().find(|hook| hook.name == name) {
                hook.elapsed_ms = Some(now.saturating_sub(hook.started_ms));
                hook.outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Done };
                hook.detail = failure;
            }
        });
    }

    /// Sets the state of the container, with a reason for people to read.
    pub(crate) fn set_state(&self, state: State, reason: Option<String>) {
        self.sender.send_modify(|status| {
            status.state = state;
            status.reason = reason;
        });
    }

    /// Changes a component's entry, which is created on first use.
    pub(crate) fn update_component(&self, name: &str, change: impl FnOnce(&mut Component)) {
        self.sender.send_modify(|status| {
            let index = status.components.iter().position(|component| component.name == name).unwrap_or_else(|| {
                status.components.push(Component {
                    name: name.to_owned(),
                    state: ComponentState::Starting,
                    restarts: 0,
                    last_exit: None,
                });
                status.components.len() - 1
            });
            change(&mut status.components[index]);
        });
    }

    /// Whether milestones are still recorded: they describe the boot, which the first readiness ends. Pods come and go
    /// for as long as the cluster runs, and the status must not grow with them.
    #[must_use]
    pub(crate) fn records_milestones(&self) -> bool {
        let status = self.sender.borrow();
        status.ready_after_ms.is_none() && status.milestones.len() < MOST_MILESTONES
    }

    /// Records that `name` became true. Only the first call per name counts, and none after the first readiness.
    pub(crate) fn milestone(&self, name: &str) {
        if !self.records_milestones() {
            return;
        }
        let at_ms = millis(self.uptime());
        self.sender.send_if_modified(|status| {
            let is_new = !status.milestones.iter().any(|milestone| milestone.name == name);
            if is_new {
                status.milestones.push(Milestone { name: name.to_owned(), at_ms });
            }
            is_new
        });
    }

    /// Records the resources used until the cluster was first ready.
    pub(crate) fn set_usage_at_ready(&self, usage: Usage) {
        self.sender.send_modify(|status| status.usage_at_ready = Some(usage));
    }

    /// Sets whether the infrastructure works, with or without the image's workloads.
    pub(crate) fn set_infrastructure(&self, works: bool) {
        self.has_infrastructure.store(works, Ordering::Relaxed);
    }

    /// Whether the cluster can be used, although it may lack something for readiness.
    #[must_use]
    pub(crate) fn has_infrastructure(&self) -> bool {
        self.has_infrastructure.load(Ordering::Relaxed)
    }

    /// Sets whether the Docker API answers.
    pub(crate) fn set_docker(&self, readiness: Readiness) {
        self.sender.send_if_modified(|status| {
            let changed = status.docker != readiness;
            status.docker = readiness;
            changed
        });
    }

    /// Sets whether the cluster is ready; returns true when it is ready for the first time.
    pub(crate) fn set_kubernetes(&self, readiness: Readiness) -> bool {
        let now = millis(self.uptime());
        let mut first = false;
        self.sender.send_if_modified(|status| {
            if readiness.ready && status.ready_after_ms.is_none() && status.state == State::Booting {
                status.ready_after_ms = Some(now);
                status.state = State::Running;
                first = true;
            }
            let changed = status.kubernetes != readiness;
            status.kubernetes = readiness;
            changed || first
        });
        first
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_reported_with_its_outcome() {
        let board = Board::new();
        board.phase_started("network");
        assert_eq!(board.snapshot().phases[0].outcome, Outcome::Running);
        board.phase_ended("network", Outcome::Failed, Some("no route".to_owned()));
        let phase = board.snapshot().phases[0].clone();
        assert_eq!((phase.outcome, phase.detail.as_deref()), (Outcome::Failed, Some("no route")));
        assert!(phase.elapsed_ms.is_some());
    }

    #[test]
    fn a_failed_hook_stays_on_the_board_and_the_cluster_stays_ready() {
        let board = Board::new();
        board.set_kubernetes(Readiness::from_missing(Vec::new()));
        board.hook_started("kubernetes-ready/10-apply");
        board.hook_ended("kubernetes-ready/10-apply", Some("no such namespace".to_owned()));
        let json = serde_json::to_value(board.snapshot()).unwrap();
        assert_eq!(json["hooks"][0]["name"], "kubernetes-ready/10-apply");
        assert_eq!(json["hooks"][0]["outcome"], "failed");
        assert_eq!(json["hooks"][0]["detail"], "no such namespace");
        assert_eq!((&json["state"], &json["kubernetes"]["ready"]), (&"running".into(), &true.into()));
    }

    #[test]
    fn milestones_end_with_the_first_readiness() {
        let board = Board::new();
        for number in 0..2 * MOST_MILESTONES {
            board.milestone(&format!("pod {number}"));
        }
        assert_eq!(board.snapshot().milestones.len(), MOST_MILESTONES);
        let board = Board::new();
        board.milestone("api-ready");
        board.set_kubernetes(Readiness::from_missing(Vec::new()));
        board.milestone("pod default/later");
        assert_eq!(board.snapshot().milestones.len(), 1);
    }

    #[test]
    fn first_readiness_is_reported_once_and_never_after_a_stop() {
        let board = Board::new();
        assert!(!board.set_kubernetes(Readiness::missing("etcd")));
        assert!(board.set_kubernetes(Readiness::from_missing(Vec::new())));
        assert!(!board.set_kubernetes(Readiness::from_missing(Vec::new())));
        assert_eq!(board.snapshot().state, State::Running);

        let stopping = Board::new();
        stopping.set_state(State::Stopping, None);
        assert!(!stopping.set_kubernetes(Readiness::from_missing(Vec::new())));
        assert_eq!(stopping.snapshot().state, State::Stopping);
    }

    #[test]
    fn the_json_has_the_documented_fields() {
        let json = serde_json::to_value(Board::new().snapshot()).unwrap();
        assert_eq!(json["state"], "booting");
        assert_eq!(json["kubernetes"]["ready"], false);
        assert!(json["readyAfterMs"].is_null());
    }
}
