//! The orderly stop: the steps of the boot's plan, in order.

use std::time::Duration;

use kubake_contract::error_chain::chain;

use super::run::Boot;
use super::shutdown_step::ShutdownStep;
use crate::pods::stop;

/// Parts of the time that a stop may take: what remains is for workloads, which get this much in any case.
const LEAST_GRACE: Duration = Duration::from_secs(2);
/// CoreDNS and kube-proxy, the control plane, etcd and the daemons, as far as they are expected to use up their limits.
const KEPT_FOR_THE_NODE: Duration = Duration::from_secs(7);

/// The time limit for workloads, and for each later turn, in a stop that may take `timeout`.
fn grace_of_pods(timeout: Duration) -> Duration {
    timeout.saturating_sub(KEPT_FOR_THE_NODE).max(LEAST_GRACE)
}

impl Boot {
    /// Stops everything that the boot has started.
    pub(crate) async fn shut_down(&mut self) {
        // Readiness would report the stop as a failure.
        self.follow = None;
        let grace = grace_of_pods(self.runtime.boot_options.orderly_stop());
        for step in self.plan.shutdown {
            match *step {
                ShutdownStep::Daemon(name) => {
                    if let Some(daemon) = self.daemons.get(name) {
                        daemon.stop().await;
                    }
                }
                ShutdownStep::Pods { through } => {
                    if self.daemons.get(through).is_some() {
                        if let Err(error) = stop::stop_pods(grace).await {
                            tracing::warn!("pods were not stopped in order: {}", chain(&error));
                        }
                    }
                }
                ShutdownStep::SideServices => self.runtime.shutdown.cancel(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_time_for_a_stop_goes_to_workloads() {
        let grace = |seconds| grace_of_pods(Duration::from_secs(seconds)).as_secs();
        assert_eq!([grace(0), grace(9), grace(119)], [2, 2, 112]);
    }
}
