//! The bake: from sources to the image that boots a cluster. Owns the list of steps and what each leaves in the engine:
//! the appliance image, the control plane's images, the image with a frozen store, the baked image. What happens
//! inside the build containers is `kubake-init`'s business; how a container is undone is the engine's guards'.
//!
//! Two halves and not one: the first (images) takes long and changes seldom, the second (cluster) changes with every
//! setting and hook. Each is skipped when an image with the same label of inputs exists.
//!
//! `commit` and not a Dockerfile, because a build step can be neither privileged nor long-lived enough to hold a
//! kubelet.

mod addons;
mod baked;
mod buildkit;
mod cluster;
mod components;
mod container;
mod custom;
mod error;
mod hooks;
mod images;
pub mod inputs;
mod secrets;

use std::path::PathBuf;

use kubake_init::contract::{BakeRequest, paths};

use crate::base_image::{self, BaseImage};
use crate::checkout::Checkout;
use crate::engine::command::RemoveImage;
use crate::engine::{Engine, Image};
use crate::host_context::HostContext;
use crate::printer::{Phase, Printer};
use crate::settings::Settings;
use crate::versions;
pub use error::Error;
pub(crate) use error::differences_text;
use error::doing;
use inputs::{Content, Hooks, Images, Packed, Platform, Watch};
pub use secrets::{Error as HookSecretsError, HookSecrets};

/// A change of how images are committed makes a new image out of old inputs.
const RECIPE: &str = "1";

/// How to bake.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Bake although an image with the same inputs exists.
    pub force: bool,
    /// Keep a build container that failed.
    pub retain: bool,
    /// What hooks in the build container get beside their usual variables.
    pub secrets: HookSecrets,
    /// A baked image to take further, instead of making one from source.
    pub from: Option<String>,
    /// What the build container is told of this machine's surroundings.
    pub host_context: HostContext,
}

/// What a bake made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Baked {
    /// The baked image's name.
    pub image: String,
    /// Further names of it.
    pub tags: Vec<String>,
    /// Its id.
    pub id: String,
    /// Whether there was nothing to do.
    pub cached: bool,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// What steps know and what they leave to those after them.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    engine: &'a Engine,
    settings: &'a Settings,
    options: Options,
    /// None where nothing is made from source.
    checkout: Option<Checkout>,
    /// Where the user's images and hooks are unless a setting says so.
    own: Checkout,
    /// Temporary files of this bake; gone with it.
    directory: tempfile::TempDir,
    images: Images,
    hooks: Hooks,
    addons: addons::Addons,
    base: String,
    appliance: Option<components::Built>,
    control_plane: Vec<components::Built>,
    /// Name of the image with the frozen store; known before it exists.
    images_name: String,
    /// Hash of all that the image with the frozen store is made from.
    images_inputs: String,
    inputs: String,
    baked: Option<String>,
    cached: bool,
}

impl Context<'_> {
    /// The source to build from.
    fn source(&self) -> Result<Checkout, Error> {
        match &self.checkout {
            Some(checkout) => Ok(checkout.clone()),
            None => Ok(Checkout::find()?),
        }
    }
}

/// A step: a name to show, and what it does; it answers with a remark for the line that ends it.
struct Step {
    name: &'static str,
    execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>,
    /// When there is something for it to do.
    when: fn(&Settings) -> bool,
}

impl Step {
    const fn always(name: &'static str, execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>) -> Self {
        Self { name, execute, when: |_| true }
    }

    /// Only where there are add-ons.
    const fn for_addons(name: &'static str, execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>) -> Self {
        Self { name, execute, when: |settings| !settings.addons.is_empty() }
    }
}

const STEPS: [Step; 7] = [
    Step::always("inputs", check_inputs),
    Step::always("base image", base),
    Step::always("components", components::build),
    Step::for_addons("add-ons", addons::build),
    Step::always("images", images::bake_images),
    Step::always("cluster", cluster::bake_cluster),
    Step::always("tags", cluster::tag),
];

/// Bakes.
///
/// # Errors
/// See [`Error`].
pub fn bake(engine: &Engine, settings: &Settings, options: Options, printer: &Printer) -> Result<Baked, Error> {
    match options.from.clone() {
        None => {
            let checkout = Checkout::find()?;
            versions::check(&checkout, &settings.cluster.kubernetes_version)?;
            run(&STEPS, engine, settings, options, (Some(checkout.clone()), checkout), printer)
        }
        Some(from) => custom::bake(engine, settings, &from, options, printer),
    }
}

fn run(
    steps: &[Step],
    engine: &Engine,
    settings: &Settings,
    options: Options,
    (checkout, own): (Option<Checkout>, Checkout),
    printer: &Printer,
) -> Result<Baked, Error> {
    let started = std::time::Instant::now();
    // Not below /tmp, which often lies in memory: the archives are gigabytes (FHS: /var/tmp is for large files).
    let below = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let directory = tempfile::Builder::new()
        .prefix("kubake-bake-")
        .tempdir_in(&below)
        .map_err(|source| Error::Temporary { path: below, source })?;
    let mut context = Context {
        engine,
        settings,
        options,
        checkout,
        own,
        directory,
        images: Images::default(),
        hooks: Hooks::default(),
        addons: addons::Addons::default(),
        base: String::new(),
        appliance: None,
        control_plane: Vec::new(),
        images_name: String::new(),
        images_inputs: String::new(),
        inputs: String::new(),
        baked: None,
        cached: false,
    };
    for step in steps.iter().filter(|step| (step.when)(settings)) {
        let phase = printer.phase(step.name);
        let remark = (step.execute)(&mut context, &phase)?;
        phase.done_with(remark);
    }
    Ok(Baked {
        image: settings.image.clone(),
        tags: cluster::further_tags(settings),
        id: context.baked.unwrap_or_default(),
        cached: context.cached,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// First, because a bad archive must not be found after an hour of compiling.
fn check_inputs(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let cancel = engine.runner().cancel();
    let watch = Watch { say: &|text| phase.message(text), is_over: &|| cancel.is_cancelled() };
    let facts = engine.facts();
    let platform = Platform::new(&facts.os, &facts.arch);
    let mut problems = Vec::new();

    let named = context.settings.images_dir.is_some();
    let directory = context.settings.images_dir.clone().unwrap_or_else(|| context.own.images_dir());
    context.images = inputs::images(&directory, named, &platform, &watch, &mut problems);

    let named = context.settings.hooks_dir.is_some();
    let directory = context.settings.hooks_dir.clone().unwrap_or_else(|| context.own.hooks_dir());
    let (inbox, kept) = (relative(paths::INBOX_HOOKS), relative(paths::HOOKS));
    context.hooks = inputs::hooks(&directory, named, &inbox, &kept, &mut problems);

    if let Some(checkout) = &context.checkout {
        context.addons = addons::load(&checkout.addons_dir(), &context.settings.addons, &mut problems);
    }

    for listed in &context.images.listed {
        let image = look(engine, &listed.reference)?;
        problems.extend(images::unusable(listed, image.as_ref(), &platform));
    }
    if cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    if !problems.is_empty() {
        return Err(inputs::Error::Problems(problems).into());
    }

    let is_file = |item: &&Packed| matches!(item.content, Content::File(_));
    let hooks = context.hooks.packed.iter().chain(&context.hooks.host).filter(is_file).count();
    // From here on as if they were the user's: they are inputs, and get into the inbox with them.
    context.hooks.packed.extend(context.addons.manifests());
    let Images { archives, listed } = &context.images;
    let counted = [(archives.len(), "archive"), (listed.len(), "listed image"), (hooks, "hook file")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> =
        counted.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" })).collect();
    Ok(if texts.is_empty() { "nothing beyond the cluster".to_owned() } else { texts.join(", ") })
}

fn look(engine: &Engine, reference: &str) -> Result<Option<Image>, Error> {
    engine.image(reference).map_err(doing(format!("look for the image `{reference}`")))
}

fn base(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let Ok(choice) = context.settings.base_image.parse::<BaseImage>();
    context.base = base_image::ensure(context.engine, &choice, |line| phase.message(line))?;
    Ok(context.base.clone())
}

/// The image that had the name before, unless it has another one, or a container or an image still needs it.
fn drop_untagged(engine: &Engine, id: &str, name: &str, further: &[String]) {
    match engine.image(id) {
        Ok(Some(image)) if image.tags.iter().all(|tag| tag == name || further.contains(tag)) => {
            let mut images: Vec<String> = image.tags.into_iter().filter(|tag| tag != name).collect();
            images.push(id.to_owned());
            for image in images {
                if let Err(error) = engine.run(&RemoveImage { images: vec![image.clone()], force: false }) {
                    if !error.is_not_found() {
                        tracing::info!("the replaced image `{image}` is left over: {error}");
                    }
                }
            }
        }
        Ok(_) => {}
        Err(error) => tracing::info!("the replaced image `{id}` is left over: {error}"),
    }
}

fn relative(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

fn directory(path: &str) -> Packed {
    Packed { target: relative(path), content: Content::Directory }
}

fn request_file(request: &BakeRequest) -> Packed {
    let text = serde_json::to_string_pretty(request).unwrap_or_default();
    Packed { target: relative(paths::INBOX_REQUEST), content: Content::Text(text) }
}

fn settings_file(settings: &Settings) -> Packed {
    // JSON is YAML: the same reader, and no second way to write it.
    let text = serde_json::to_string_pretty(&settings.cluster).unwrap_or_default();
    Packed { target: relative(paths::SETTINGS), content: Content::Text(text) }
}
