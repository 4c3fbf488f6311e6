//! The two moments of a boot at which hooks run.

use std::path::Path;
use std::time::Duration;

use kubake_contract::hooks::{self, Secrets};
use kubake_contract::{env, moments, paths};

use crate::events::Events;
use crate::hooks::{HookContext, HookError, run_in_order};
use crate::node_runtime::NodeRuntime;

/// How long hooks of a ready cluster wait for dockerd, which the boot does not wait for.
const DOCKER_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs before any daemon starts, so that all daemons find what these hooks put in place.
pub(super) async fn before_boot(runtime: &NodeRuntime, events: Events) -> Result<(), HookError> {
    let found = hooks::find(Path::new(paths::HOOKS), moments::BEFORE_BOOT)?;
    run(runtime, events, moments::BEFORE_BOOT, &found).await
}

/// Runs after the cluster was reported ready, so these hooks delay no caller.
pub(super) async fn kubernetes_ready(runtime: &NodeRuntime, events: Events) -> Result<(), HookError> {
    let mut found = hooks::find(Path::new(paths::HOOKS), moments::KUBERNETES_READY)?;
    found.extend(hooks::ready_script(Path::new(paths::READY_SCRIPT)));
    if !found.is_empty() {
        // Hooks may need dockerd, which the boot does not wait for.
        let mut board = runtime.board.subscribe();
        let _ = tokio::time::timeout(DOCKER_TIMEOUT, board.wait_for(|status| status.docker.ready)).await;
    }
    run(runtime, events, moments::KUBERNETES_READY, &found).await
}

async fn run(runtime: &NodeRuntime, events: Events, moment: &str, found: &[hooks::Hook]) -> Result<(), HookError> {
    let (secrets, policy) = (Secrets::default(), runtime.boot_options.hooks);
    let context = HookContext {
        moment,
        settings: &runtime.settings,
        node: &runtime.node,
        secrets: &secrets,
        proxies: runtime.proxy_variables(),
        timeout: policy.timeout,
        timeout_setting: env::HOOK_TIMEOUT,
    };
    run_in_order(found, &context, policy.failure_at(moment), &runtime.board, events).await
}
