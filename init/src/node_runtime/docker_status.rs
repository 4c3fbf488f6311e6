//! Reports on the board whether the Docker API answers.

use std::path::Path;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use kubake_contract::paths;
use kubake_contract::status::{Readiness, Status};
use tokio_util::sync::CancellationToken;

use crate::docker_proxy;
use crate::services::dockerd;
use crate::status::Board;

/// Reports on the board whether the Docker API answers, until `shutdown`.
pub(super) async fn follow_docker(board: Board, shutdown: CancellationToken) {
    let socket = Path::new(paths::DOCKER_SOCKET);
    let mut changes = board.subscribe();
    let follow = async {
        loop {
            match docker_proxy::ping(socket, Duration::from_secs(5)).await {
                Ok(()) => board.set_docker(Readiness::from_missing(Vec::new())),
                Err(error) => {
                    let reason = format!("dockerd does not answer: {}", chain(&error));
                    board.set_docker(Readiness::missing(reason));
                }
            }
            // Checks again when dockerd's process changes its state, and at intervals in case it hangs.
            let component = |status: &Status| {
                status
                    .components
                    .iter()
                    .find(|component| component.name == dockerd::NAME)
                    .map(|component| component.state)
            };
            let before = component(&changes.borrow_and_update());
            let changed = changes.wait_for(|status| component(status) != before);
            if matches!(tokio::time::timeout(Duration::from_secs(10), changed).await, Ok(Err(_))) {
                return;
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = shutdown.cancelled() => {}
    }
}
