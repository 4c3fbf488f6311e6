//! The orderly stop: the steps of the boot's plan, in order.

use std::time::Duration;

use kubake_contract::error_chain::chain;

use super::run::Boot;
use super::shutdown_step::ShutdownStep;
use crate::pods::stop;

/// Time limit for the stop of containers of one turn. The turns and the daemons must fit into the ten seconds that
/// `docker stop` grants by default; only workloads are expected to use up their limit.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl Boot {
    /// Stops everything that the boot has started.
    pub(crate) async fn shut_down(&mut self) {
        // Readiness would report the stop as a failure.
        self.follow = None;
        for step in self.plan.shutdown {
            match *step {
                ShutdownStep::Daemon(name) => {
                    if let Some(daemon) = self.daemons.get(name) {
                        daemon.stop().await;
                    }
                }
                ShutdownStep::Pods { through } => {
                    if self.daemons.get(through).is_some() {
                        if let Err(error) = stop::stop_pods(STOP_GRACE).await {
                            tracing::warn!("pods were not stopped in order: {}", chain(&error));
                        }
                    }
                }
                ShutdownStep::SideServices => self.runtime.shutdown.cancel(),
            }
        }
    }
}
