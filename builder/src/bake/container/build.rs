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
use crate::engine::guard::unique_name;
use crate::engine::{ContainerGuard, Engine, ImageGuard};
use crate::printer::Phase;
use crate::process::{Input, RunError, Stream};

/// Repository of images whose commit has not ended.
const UNFINISHED: &str = "kubake/unfinished";

/// Runs the build container and commits it. Returns the id of the image.
pub(in super::super) fn bake(context: &Context<'_>, phase: &Phase, recipe: &Recipe<'_>) -> Result<String, Error> {
    let mut container = BuildContainer::create(context, phase, recipe)?;
    container.fill()?;
    if recipe.has_hooks {
        container.run_host_hooks(moments::BEFORE_SETUP)?;
        // Last, so that only the first program of the container finds them.
        container.copy_hook_secrets()?;
    }
    container.run()?;
    if recipe.has_hooks {
        container.run_host_hooks(moments::AFTER_SETUP)?;
    }
    container.commit()
}

/// The container of one run. The guard removes it on every return, unless it is kept.
struct BuildContainer<'a> {
    context: &'a Context<'a>,
    phase: &'a Phase,
    recipe: &'a Recipe<'a>,
    /// The container's id.
    id: String,
    guard: Option<ContainerGuard>,
}

impl<'a> BuildContainer<'a> {
    fn create(context: &'a Context<'a>, phase: &'a Phase, recipe: &'a Recipe<'a>) -> Result<Self, Error> {
        let process = std::process::id().to_string();
        let spec = ContainerSpec {
            name: Some(unique_name(&format!("kubake-{}", recipe.role))),
            privileged: true,
            // An argument instead of a variable, which a commit would keep.
            command: vec![recipe.role.to_owned(), "--events=json".to_owned()],
            labels: vec![(labels::BUILD.to_owned(), process)],
            hostname: Some(names::CONTROL_PLANE.to_string()),
            network: context.settings.container.network.clone(),
            pull: Some("never".to_owned()),
            ..ContainerSpec::new(recipe.from)
        };
        let guard = create(context.engine, spec)?;
        Ok(Self { context, phase, recipe, id: guard.id().to_owned(), guard: Some(guard) })
    }

    /// A copy of the tar stream on standard input into a directory of the container.
    fn copy_into(&self, directory: &str) -> CopyInto {
        CopyInto {
            source: PathBuf::from("-"),
            container: self.id.clone(),
            target: directory.to_owned(),
            archive: false,
        }
    }

    fn fill(&self) -> Result<(), Error> {
        let engine = self.context.engine;
        self.phase.message("filling the build container");
        let directory = self.context.directory.path();
        let packed = tempfile::tempfile_in(directory)
            .map_err(|source| Error::Temporary { path: directory.to_owned(), source })?;
        let packed = inputs::pack(&self.recipe.files, packed)?;
        engine
            .run_with_input(&self.copy_into("/"), Input::File(packed))
            .map_err(failed_to("copy the settings into the build container"))?;
        for path in &self.recipe.trees {
            let tree = File::open(path).map_err(|source| inputs::Error::Read { path: path.clone(), source })?;
            engine
                .run_with_input(&self.copy_into("/"), Input::File(tree))
                .map_err(failed_to("copy the programs of add-ons into the build container"))?;
        }
        for (archive, name) in &self.recipe.archives {
            copy_archive(engine, self.phase, archive, name, &self.copy_into(paths::INBOX_IMAGES))?;
        }
        Ok(())
    }

    fn run_host_hooks(&mut self, moment: &str) -> Result<(), Error> {
        if self.context.hooks.host.is_empty() {
            return Ok(());
        }
        let engine = self.context.engine;
        let hook_context = host_hooks::HookContext {
            directory: &self.context.hooks.directory,
            settings: &self.context.settings.cluster,
            engine: engine.program(),
            timeout: self.context.settings.bake.hook_timeout,
            failure: self.context.settings.bake.hook_failure,
        };
        host_hooks::run(engine.runner(), moment, &self.id, &hook_context, self.phase)
            .map_err(|error| error.retained_by(|| self.keep()))
    }

    fn copy_hook_secrets(&self) -> Result<(), Error> {
        let (secrets, proxies) = (&self.context.options.secrets, self.context.options.host_context.proxies());
        if secrets.is_empty() && proxies.is_empty() {
            return Ok(());
        }
        copy_secrets(self.context.engine, secrets, proxies, &self.copy_into("/"))
    }

    /// Starts the container and follows it to its end.
    fn run(&mut self) -> Result<(), Error> {
        self.phase.message("starting");
        let mut follower = Follower::new(self.phase);
        let start = Start { container: self.id.clone(), attach: true };
        let ended = self.context.engine.stream(&start, |line| {
            match line.stream {
                Stream::Stdout => follower.event(line.text),
                Stream::Stderr => follower.log(line.text),
            }
            ControlFlow::Continue(())
        });
        match ended {
            Ok(_) => Ok(()),
            Err(source @ RunError::Failed { .. }) => Err(follower.failure(self.recipe.role, &source, self.keep())),
            Err(source) => Err(failed_to(format!("follow the build container of {}", self.recipe.role))(source)),
        }
    }

    /// Keeps the container after a failure, without secrets, if the user wants to retain it.
    fn keep(&mut self) -> Option<Box<Retained>> {
        if !self.context.options.retain {
            return None;
        }
        let engine = self.context.engine;
        let container = self.guard.take().map(ContainerGuard::keep)?;
        overwrite_secrets(engine, self.context, &self.copy_into("/"));
        Some(Box::new(Retained { container, engine: engine.facts().flavour.command() }))
    }

    /// Commits the container and removes it. Returns the id of the image.
    fn commit(self) -> Result<String, Error> {
        let (engine, recipe) = (self.context.engine, self.recipe);
        self.phase.message(format_args!("committing {}", recipe.name));
        // Ctrl-C ends the command but not the work of the engine: the image would appear a moment later. So the commit runs
        // to its end under a temporary name, and the image gets its final name only if the user has not interrupted.
        let unfinished = ImageGuard::new(engine, &format!("{}:1", unique_name(UNFINISHED)));
        let id = engine
            .for_cleanup()
            .run_captured(&Commit {
                container: self.id,
                image: unfinished.name().to_owned(),
                changes: changes(recipe, &self.context.settings.cluster.kubernetes_version),
                message: Some(format!("kubake {}", recipe.role)),
                // The container has ended.
                pause: false,
            })
            .map_err(failed_to(format!("commit the build container as `{}`", recipe.name)))?;
        engine
            .run(&Tag { image: id.clone(), name: recipe.name.to_owned() })
            .map_err(failed_to(format!("tag the image as `{}`", recipe.name)))?;
        if let Some(guard) = self.guard {
            guard.remove().map_err(failed_to("remove the build container"))?;
        }
        Ok(id)
    }
}

/// Creates the build container. The engine's client may add proxy variables from its user's configuration, and an image
/// would keep them: in that case the container is created again, with all of them empty.
fn create(engine: &Engine, spec: ContainerSpec) -> Result<ContainerGuard, Error> {
    let failed = || failed_to(format!("create the build container from `{}`", spec.image));
    let guard = ContainerGuard::create(engine, spec.clone()).map_err(failed())?;
    let container = engine.container(guard.id()).map_err(failed())?;
    let variables = container.map(|container| container.variables).unwrap_or_default();
    if !VARIABLES.iter().any(|name| variables.iter().any(|variable| variable == name)) {
        return Ok(guard);
    }
    guard.remove().map_err(failed())?;
    let env = VARIABLES.map(|name| (name.to_owned(), String::new())).to_vec();
    ContainerGuard::create(engine, ContainerSpec { env, ..spec.clone() }).map_err(failed())
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
