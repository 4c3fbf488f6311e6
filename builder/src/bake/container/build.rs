//! Runs a build container: creates, fills and starts it, follows its events, commits and removes it. Owns that order.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::PathBuf;

use kubake_contract::proxies::VARIABLES;
use kubake_contract::{labels, moments, names, paths};

use super::super::context::Context;
use super::super::error::{Error, Retained, failed_to};
use super::super::hook_secrets::{self, HookSecrets};
use super::super::host_hooks;
use super::super::inputs;
use super::copy::copy_archive;
use super::follower::Follower;
use super::image_config::changes;
use super::recipe::Recipe;
use crate::engine::command::{Commit, ContainerSpec, CopyInto, Start, Tag};
use crate::engine::{ContainerGuard, Engine, ImageGuard, Input, RunError, Stream};
use crate::printer::Phase;

/// Repository of images whose commit has not ended.
const UNFINISHED: &str = "kubake/unfinished";

/// Runs the build container and commits it. Returns the id of the image.
pub(in super::super) fn bake(context: &Context<'_>, phase: &Phase, recipe: &Recipe<'_>) -> Result<String, Error> {
    let engine = context.engine;
    let process = std::process::id().to_string();
    let container = format!("kubake-{}-{process}", recipe.role);
    let spec = ContainerSpec {
        name: Some(container.clone()),
        privileged: true,
        // An argument instead of a variable, which a commit would keep.
        command: vec![recipe.role.to_owned(), "--events=json".to_owned()],
        labels: vec![(labels::BUILD.to_owned(), process)],
        hostname: Some(names::CLUSTER.to_owned()),
        network: context.settings.container.network.clone(),
        pull: Some("never".to_owned()),
        ..ContainerSpec::new(recipe.from)
    };
    let guard = create(engine, spec)?;

    phase.message("filling the build container");
    let packed = tempfile::tempfile_in(context.directory.path())
        .map_err(|source| Error::Temporary { path: context.directory.path().to_owned(), source })?;
    let packed = inputs::pack(&recipe.files, packed)?;
    let copy =
        |source: PathBuf, target: String| CopyInto { source, container: container.clone(), target, archive: false };
    engine
        .run_with_input(&copy("-".into(), "/".to_owned()), Input::File(packed))
        .map_err(failed_to("copy the settings into the build container"))?;
    for path in &recipe.trees {
        let tree = File::open(path).map_err(|source| inputs::Error::Read { path: path.clone(), source })?;
        engine
            .run_with_input(&copy("-".into(), "/".to_owned()), Input::File(tree))
            .map_err(failed_to("copy the programs of add-ons into the build container"))?;
    }
    for (archive, name) in &recipe.archives {
        copy_archive(engine, phase, archive, name, &copy("-".into(), paths::INBOX_IMAGES.to_owned()))?;
    }
    let mut guard = Some(guard);
    let mut keep = || {
        if !context.options.retain {
            return None;
        }
        let container = guard.take().map(ContainerGuard::keep)?;
        overwrite_secrets(engine, context, &copy("-".into(), "/".to_owned()));
        Some(Box::new(Retained { container, engine: engine.facts().flavour.command() }))
    };
    let on_host = |moment: &str| -> Result<(), Error> {
        if context.hooks.host.is_empty() {
            return Ok(());
        }
        let found = engine.container(&container).map_err(failed_to("look up the build container"))?;
        let id = found.map_or_else(|| container.clone(), |container| container.id);
        let given = host_hooks::HookContext {
            directory: &context.hooks.directory,
            settings: &context.settings.cluster,
            engine: engine.program(),
            timeout: context.settings.bake.hook_timeout,
            failure: context.settings.bake.hook_failure,
        };
        host_hooks::run(engine.runner(), moment, &id, &given, phase)
    };
    if recipe.has_hooks {
        on_host(moments::BEFORE_SETUP).map_err(|error| error.retained_by(&mut keep))?;
        // Last, so that only the first program of the container finds them.
        let (secrets, proxies) = (&context.options.secrets, context.options.host_context.proxies());
        if !(secrets.is_empty() && proxies.is_empty()) {
            copy_secrets(engine, secrets, proxies, &copy("-".into(), "/".to_owned()))?;
        }
    }

    phase.message("starting");
    let mut follower = Follower::new(phase);
    let ended = engine.stream(&Start { container: container.clone(), attach: true }, |line| {
        match line.stream {
            Stream::Stdout => follower.event(line.text),
            Stream::Stderr => follower.log(line.text),
        }
        ControlFlow::Continue(())
    });
    if let Err(source) = ended {
        return Err(match source {
            source @ RunError::Failed { .. } => follower.failure(recipe.role, &source, keep()),
            source => failed_to(format!("follow the build container of {}", recipe.role))(source),
        });
    }

    if recipe.has_hooks {
        on_host(moments::AFTER_SETUP).map_err(|error| error.retained_by(&mut keep))?;
    }
    phase.message(format_args!("committing {}", recipe.name));
    // Ctrl-C ends the command but not the work of the engine: the image would appear a moment later. So the commit runs
    // to its end under a temporary name, and the image gets its final name only if the user has not interrupted.
    let unfinished = ImageGuard::new(engine, &format!("{UNFINISHED}:{}", std::process::id()));
    let id = engine
        .for_cleanup()
        .run_captured(&Commit {
            container,
            image: unfinished.name().to_owned(),
            changes: changes(recipe, &context.settings.cluster.kubernetes_version),
            message: Some(format!("kubake {}", recipe.role)),
            // The container has ended.
            pause: false,
        })
        .map_err(failed_to(format!("commit the build container as `{}`", recipe.name)))?;
    engine
        .run(&Tag { image: unfinished.name().to_owned(), name: recipe.name.to_owned() })
        .map_err(failed_to(format!("tag the image as `{}`", recipe.name)))?;
    if let Some(guard) = guard {
        guard.remove().map_err(failed_to("remove the build container"))?;
    }
    Ok(id)
}

/// Creates the build container. The engine's client may add proxy variables from its user's configuration, and an image
/// would keep them: in that case the container is created again, with all of them empty.
fn create(engine: &Engine, spec: ContainerSpec) -> Result<ContainerGuard, Error> {
    let failed = || failed_to(format!("create the build container from `{}`", spec.image));
    let guard = engine.create(spec.clone()).map_err(failed())?;
    let container = engine.container(guard.name()).map_err(failed())?;
    let variables = container.map(|container| container.variables).unwrap_or_default();
    if !VARIABLES.iter().any(|name| variables.iter().any(|variable| variable == name)) {
        return Ok(guard);
    }
    guard.remove().map_err(failed())?;
    let env = VARIABLES.map(|name| (name.to_owned(), String::new())).to_vec();
    engine.create(ContainerSpec { env, ..spec.clone() }).map_err(failed())
}

fn copy_secrets(
    engine: &Engine,
    secrets: &HookSecrets,
    proxies: &[(String, String)],
    copy: &CopyInto,
) -> Result<(), Error> {
    let packed = hook_secrets::pack(secrets, proxies)
        .map_err(|source| inputs::Error::Pack { path: PathBuf::from(paths::INBOX_SECRETS), source })?;
    engine
        .run_with_input(copy, Input::Bytes(packed))
        .map_err(failed_to("copy the secrets of hooks into the build container"))
}

/// Overwrites the secrets in a kept container: a container that never started has not removed them.
fn overwrite_secrets(engine: &Engine, context: &Context<'_>, copy: &CopyInto) {
    if context.options.secrets.is_empty() && context.options.host_context.proxies().is_empty() {
        return;
    }
    if let Err(error) = copy_secrets(&engine.for_cleanup(), &HookSecrets::default(), &[], copy) {
        tracing::warn!(
            "failed to remove the secrets of hooks from {} in the kept container: {error}",
            paths::INBOX_SECRETS
        );
    }
}
