//! A started daemon as its owner sees it: waits for it, stops it.

use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::status::ComponentState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::ServiceError;
use super::state::State;
use crate::files::tail;

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 20;

/// A started daemon.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(super) name: &'static str,
    pub(super) log: PathBuf,
    pub(super) state: watch::Receiver<State>,
    pub(super) stop: CancellationToken,
    pub(super) stopped: CancellationToken,
}

impl Handle {
    /// Waits until the daemon reports readiness.
    ///
    /// # Errors
    /// When the supervisor gave the daemon up, or it did not report readiness within `timeout`.
    pub(crate) async fn ready(&self, timeout: Duration) -> Result<(), ServiceError> {
        let mut state = self.state.clone();
        let decided = state.wait_for(|state| state.has_served || state.is_hopeless() || state.is_final());
        match tokio::time::timeout(timeout, decided).await {
            Ok(Ok(state)) if state.is_hopeless() => Err(self.gave_up(&state)),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => {
                Err(ServiceError::NotReady { name: self.name, timeout, tail: tail(&self.log, TAIL_LINES) })
            }
        }
    }

    /// Returns only when the supervisor gave the daemon up before it ever served.
    pub(crate) async fn given_up(&self) -> ServiceError {
        let mut state = self.state.clone();
        match state.wait_for(|state| state.component == ComponentState::Failed).await {
            Ok(state) => self.gave_up(&state),
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops the daemon: SIGTERM, then SIGKILL after its stop timeout. Returns when its process is gone.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.stopped.cancelled().await;
    }

    fn gave_up(&self, state: &State) -> ServiceError {
        let last_exit = state.last_exit.clone().unwrap_or_default();
        ServiceError::GaveUp { name: self.name, last_exit, tail: tail(&self.log, TAIL_LINES) }
    }
}
