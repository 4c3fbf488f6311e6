//! Reports on the board whether the Docker API answers.

use std::path::Path;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use kubake_contract::paths;
use kubake_contract::status::{Component, ComponentState, Readiness, Status};
use tokio_util::sync::CancellationToken;

use crate::docker_proxy;
use crate::services::dockerd;
use crate::status::Board;

/// Reports on the board whether the Docker API answers, until `shutdown`.
pub(super) async fn follow_docker(board: Board, shutdown: CancellationToken) {
    let socket = Path::new(paths::DOCKERD_SOCKET);
    let mut changes = board.subscribe();
    let follow = async {
        loop {
            match docker_proxy::ping(socket, Duration::from_secs(5)).await {
                Ok(()) => board.set_docker(Readiness::from_missing(Vec::new())),
                Err(error) => {
                    let ended = last_end(&board.snapshot());
                    let reason = ended.unwrap_or_else(|| format!("dockerd does not answer: {}", chain(&error)));
                    board.set_docker(Readiness::missing(reason));
                }
            }
            // Checks again when dockerd's process changes its state, and at intervals in case it hangs.
            let component = |status: &Status| component(status).map(|component| component.state);
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

fn component(status: &Status) -> Option<&Component> {
    status.components.iter().find(|component| component.name == dockerd::NAME)
}

/// How dockerd ended, while it does not run.
fn last_end(status: &Status) -> Option<String> {
    let component = component(status).filter(|component| component.state == ComponentState::BackingOff)?;
    let exit = component.last_exit.as_deref()?;
    let (restarts, log) = (component.restarts, Path::new(paths::LOGS).join("dockerd.log"));
    Some(format!(
        "dockerd ended {restarts} times, the last time with {exit}, and is started again; see {}",
        log.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_end_of_a_dockerd_that_does_not_run_is_quoted() {
        let board = Board::new();
        assert_eq!(last_end(&board.snapshot()), None);
        board.update_component(dockerd::NAME, |component| {
            component.state = ComponentState::BackingOff;
            component.restarts = 5;
            component.last_exit = Some("exit code 1".to_owned());
        });
        let text = last_end(&board.snapshot()).unwrap();
        assert!(text.starts_with("dockerd ended 5 times, the last time with exit code 1"), "{text}");
        board.update_component(dockerd::NAME, |component| component.state = ComponentState::Running);
        assert_eq!(last_end(&board.snapshot()), None);
    }
}
