//! Runs the phases of a boot, then keeps the node up until it has to stop.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::SystemTime;

use kubake_contract::error_chain::chain;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::daemons::Daemons;
use super::error::BootError;
use super::hooks;
use super::shutdown_step::ShutdownStep;
use crate::events::Events;
use crate::identity;
use crate::node_runtime::NodeRuntime;
use crate::phases::{self, Phase};
use crate::readiness::Expected;
use crate::status::Board;
use crate::usage;

/// The boot of one role.
#[derive(Debug)]
pub(crate) struct BootPlan {
    /// In the order in which they run.
    pub(crate) phases: &'static [Phase<Boot>],
    /// What must be proven before the node is ready.
    pub(crate) expected: &'static Expected,
    /// In the order in which they run.
    pub(crate) shutdown: &'static [ShutdownStep],
}

/// A booting or booted node.
pub(crate) struct Boot {
    pub(crate) runtime: NodeRuntime,
    pub(super) plan: &'static BootPlan,
    pub(super) events: Events,
    pub(super) identity: identity::Request,
    pub(super) begun: (Instant, SystemTime),
    pub(super) daemons: Daemons,
    /// Keeps the board up to date about the cluster while it is polled.
    pub(super) follow: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl fmt::Debug for Boot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Boot").field("runtime", &self.runtime).finish_non_exhaustive()
    }
}

impl Boot {
    #[must_use]
    pub(crate) fn new(
        runtime: NodeRuntime,
        plan: &'static BootPlan,
        events: Events,
        identity: identity::Request,
    ) -> Self {
        let begun = (Instant::now(), SystemTime::now());
        Self { runtime, plan, events, identity, begun, daemons: Daemons::default(), follow: None }
    }

    /// Boots, and follows the cluster until `stop` is cancelled.
    ///
    /// # Errors
    /// When a phase fails, or a hook whose policy ends the boot.
    pub(crate) async fn run(&mut self, stop: &CancellationToken) -> Result<(), BootError> {
        let (board, events) = (self.runtime.board.clone(), self.events);
        phases::run_all(self.plan.phases, self, &board, events).await?;
        note_usage(&board).await;
        let Self { runtime, follow, .. } = self;
        let Some(follow) = follow.as_mut() else { return Ok(()) };
        let hooks = hooks::kubernetes_ready(runtime, events);
        tokio::pin!(hooks);
        tokio::select! {
            () = &mut *follow => return Ok(()),
            () = stop.cancelled() => return Ok(()),
            outcome = &mut hooks => outcome?,
        }
        tokio::select! {
            () = follow => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }
}

/// Records on the board what the boot used. A failure is only logged.
async fn note_usage(board: &Board) {
    // Takes a few milliseconds, in which the only thread of the runtime answers callers that wait for readiness.
    let error = match tokio::task::spawn_blocking(|| usage::read_at(Path::new("/"))).await {
        Ok(Ok(usage)) => return board.set_usage_at_ready(usage),
        Ok(Err(error)) => chain(&error),
        Err(error) => error.to_string(),
    };
    tracing::warn!("the usage until the cluster was ready is unknown: {error}");
}
