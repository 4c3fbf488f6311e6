//! Runs a moment's hooks: environment, time limit, output without secrets, and what a failure means.

use std::ffi::OsString;
use std::time::Duration;

use kubake_contract::error_chain::chain;
use kubake_contract::hooks::{Failure, Hook, Secrets};
use kubake_contract::{ClusterSettings, Node, hook_env, paths};

use super::error::HookError;
use crate::command::{CommandError, Run};
use crate::events::Events;
use crate::status::Board;

/// What a moment's hooks get: variables, secrets and a time limit.
#[derive(Debug)]
pub(crate) struct HookContext<'a> {
    pub moment: &'a str,
    pub settings: &'a ClusterSettings,
    pub node: &'a Node,
    /// Variables that no other program gets.
    pub secrets: &'a Secrets,
    pub proxies: Vec<(OsString, OsString)>,
    /// The most time that one hook may take.
    pub timeout: Duration,
    /// The variable or option that sets `timeout`, named in the error.
    pub timeout_setting: &'static str,
}

/// Runs hooks one after the other, and records each on the board.
///
/// # Errors
/// The first failure, if `failure` is [`Failure::Fail`].
pub(crate) async fn run_in_order(
    hooks: &[Hook],
    context: &HookContext<'_>,
    failure: Failure,
    board: &Board,
    events: Events,
) -> Result<(), HookError> {
    for hook in hooks {
        events.note(format!("hook {}", hook.name));
        board.hook_started(&hook.name);
        let outcome = run(hook, context, events).await;
        board.hook_ended(&hook.name, outcome.as_ref().err().map(|error| chain(error)));
        match outcome {
            Ok(()) => {}
            Err(error) if failure == Failure::Report => events.warn(chain(&error)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn run(hook: &Hook, context: &HookContext<'_>, events: Events) -> Result<(), HookError> {
    let mut command = Run::new(hook.program())
        .directory(hook.directory())
        .with_hook_variables()
        .env(hook_env::MOMENT, context.moment)
        .env(hook_env::KUBERNETES_VERSION, &context.settings.kubernetes_version)
        .env(hook_env::STATIC_IP, context.node.addresses.ipv4.to_string())
        .env(hook_env::KUBECONFIG, paths::ADMIN_KUBECONFIG)
        .env(hook_env::DOCKER_HOST, format!("unix://{}", paths::DOCKER_SOCKET))
        .masked(context.secrets.masked())
        .timeout(context.timeout);
    for (name, value) in &context.proxies {
        command = command.env(name, value);
    }
    if let Some(script) = hook.script() {
        command = command.arg(script);
    }
    for (name, value) in context.secrets.iter() {
        command = command.env(name, value);
    }
    let ended = command.stream(|line| events.note(format!("{} | {line}", hook.name))).await;
    let name = || hook.name.clone();
    ended.map_err(|source| match source {
        CommandError::Spawn { .. } => HookError::Start { hook: name(), source },
        CommandError::TimedOut { .. } => HookError::TimedOut { hook: name(), setting: context.timeout_setting, source },
        CommandError::Failed { .. } => HookError::Failed { hook: name(), source },
    })
}
