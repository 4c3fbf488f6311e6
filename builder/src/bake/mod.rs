//! The bake: from sources to the image that boots a cluster. Owns the list of steps and what each leaves in the engine:
//! the appliance image, the control plane's images, the image with a frozen store, the baked image. What happens
//! inside the build containers is `kubake-init`'s business; how a container is undone is the engine's guards'.
//!
//! Two halves and not one: the first (images) takes long and changes seldom, the second (cluster) changes with every
//! setting and hook. Each is skipped when an image with the same label of inputs exists.
//!
//! `commit` and not a Dockerfile, because a build step can be neither privileged nor long-lived enough to hold a
//! kubelet.

mod buildkit;
mod components;
mod container;
pub mod inputs;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_init::contract::{CONTROL_PLANE_ARCHIVE, labels, paths, roles};
use thiserror::Error;

use crate::base_image::{self, BaseImage, BaseImageError};
use crate::checkout::{self, Checkout};
use crate::engine::command::{Pull, RemoveImage, Save, Tag};
use crate::engine::{Engine, EngineError, RunError, command};
use crate::printer::{Phase, Printer};
use crate::settings::{Settings, minor};
use inputs::{Content, Images, Packed};

/// Repository of the images that hold a frozen store and no cluster yet.
const IMAGES_REPOSITORY: &str = "kubake/images";
/// A change of how images are committed makes a new image out of old inputs.
const RECIPE: &str = "1";

/// Why a bake failed. Nothing of it is left in the engine, unless it was to be retained.
#[derive(Debug, Error)]
pub enum Error {
    /// No sources.
    #[error(transparent)]
    Checkout(#[from] checkout::Error),
    /// What the user adds is not in order.
    #[error(transparent)]
    Inputs(#[from] inputs::Error),
    /// No base image.
    #[error(transparent)]
    Base(#[from] BaseImageError),
    /// The engine cannot build.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An image could not be built.
    #[error("build the image `{target}`")]
    Build {
        /// The Dockerfile's target.
        target: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// kubeadm's list of images is not what we build.
    #[error("kubeadm {version} wants the image `{image}`, which kubake does not build")]
    UnknownImage {
        /// Version of Kubernetes.
        version: String,
        /// The image.
        image: String,
    },
    /// An image of a list is not to be had.
    #[error("pull `{image}`, which a list in the images directory names")]
    Pull {
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// The engine did not do what it was asked to.
    #[error("{doing}")]
    Run {
        /// What was to be done.
        doing: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A temporary file could not be made.
    #[error("make a temporary file below `{}`", .path.display())]
    Temporary {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// `kubake-init` failed in the build container.
    #[error("{role} failed in {phase}: {reason}{}{}", log_text(.log), retained_text(.retained.as_deref()))]
    Container {
        /// Which half.
        role: &'static str,
        /// The phase in which it failed.
        phase: String,
        /// What it says.
        reason: String,
        /// The end of its log.
        log: Vec<String>,
        /// The build container's name, where it was kept.
        retained: Option<String>,
    },
}

fn log_text(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  | {line}")).collect()
}

fn retained_text(container: Option<&str>) -> String {
    container.map_or_else(String::new, |name| format!("\nthe build container `{name}` was kept"))
}

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Inputs(error) => error.hint(),
            Self::Checkout(_) => Some(
                "run kubake in a checkout of its source, or run an image that is already baked with `--image`"
                    .to_owned(),
            ),
            Self::Container { retained: Some(name), .. } => Some(format!(
                "look with `docker logs {name}`, then remove it with `docker rm --force --volumes {name}`"
            )),
            Self::Container { retained: None, .. } => {
                Some("keep the build container with `--retain` to look around in it".to_owned())
            }
            Self::Build { .. } => Some("see the whole build with `-v`".to_owned()),
            _ => None,
        }
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Build { source, .. } | Self::Pull { source, .. } | Self::Run { source, .. } => {
                source.is_interrupted()
            }
            Self::Base(error) => error.is_interrupted(),
            Self::Engine(EngineError::Run(error)) => error.is_interrupted(),
            _ => false,
        }
    }
}

/// Puts what was being done in front of an engine's error.
fn doing(what: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Run { doing: what.into(), source }
}

/// How to bake.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Bake although an image with the same inputs exists.
    pub force: bool,
    /// Keep a build container that failed.
    pub retain: bool,
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
    checkout: Checkout,
    /// Temporary files of this bake; gone with it.
    directory: tempfile::TempDir,
    images: Images,
    hooks: Vec<Packed>,
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

/// A step: a name to show, and what it does; it answers with a remark for the line that ends it.
struct Step {
    name: &'static str,
    execute: fn(&mut Context<'_>, &Phase) -> Result<String, Error>,
}

const STEPS: [Step; 6] = [
    Step { name: "inputs", execute: check_inputs },
    Step { name: "base image", execute: base },
    Step { name: "components", execute: components::build },
    Step { name: "images", execute: bake_images },
    Step { name: "cluster", execute: bake_cluster },
    Step { name: "tags", execute: tag },
];

/// Bakes.
///
/// # Errors
/// See [`Error`].
pub fn bake(engine: &Engine, settings: &Settings, options: Options, printer: &Printer) -> Result<Baked, Error> {
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
        checkout: Checkout::find()?,
        directory,
        images: Images::default(),
        hooks: Vec::new(),
        base: String::new(),
        appliance: None,
        control_plane: Vec::new(),
        images_name: String::new(),
        images_inputs: String::new(),
        inputs: String::new(),
        baked: None,
        cached: false,
    };
    for step in &STEPS {
        let phase = printer.phase(step.name);
        let remark = (step.execute)(&mut context, &phase)?;
        phase.done_with(remark);
    }
    Ok(Baked {
        image: settings.image.clone(),
        tags: further_tags(settings),
        id: context.baked.unwrap_or_default(),
        cached: context.cached,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

/// First, because a bad archive must not be found after an hour of compiling.
fn check_inputs(context: &mut Context<'_>, _: &Phase) -> Result<String, Error> {
    let named = context.settings.images_dir.is_some();
    let directory = context.settings.images_dir.clone().unwrap_or_else(|| context.checkout.images_dir());
    context.images = inputs::images(&directory, named)?;

    let named = context.settings.hooks_dir.is_some();
    let directory = context.settings.hooks_dir.clone().unwrap_or_else(|| context.checkout.hooks_dir());
    context.hooks = inputs::hooks(&directory, named, &relative(paths::INBOX_HOOKS))?;
    let hooks = context.hooks.iter().filter(|item| matches!(item.content, Content::File(_))).count();
    let Images { archives, references } = &context.images;
    let counted = [(archives.len(), "archive"), (references.len(), "listed image"), (hooks, "hook file")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> =
        counted.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" })).collect();
    Ok(if texts.is_empty() { "nothing beyond the cluster".to_owned() } else { texts.join(", ") })
}

fn base(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let Ok(choice) = context.settings.base_image.parse::<BaseImage>();
    context.base = base_image::ensure(context.engine, &choice, |line| phase.message(line))?;
    Ok(context.base.clone())
}

fn bake_images(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let built = context.appliance.iter().chain(&context.control_plane).map(|built| built.id.as_str());
    let components = inputs::digest(&built.collect::<Vec<_>>());
    let mut parts = vec![RECIPE.to_owned(), components.clone()];
    parts.extend(context.images.archives.iter().map(|archive| archive.digest.clone()));
    for reference in &context.images.references {
        parts.push(present_or_pulled(engine, reference, phase)?.0);
    }
    let hash = inputs::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    context.images_name = format!("{IMAGES_REPOSITORY}:{}", hash.get(..16).unwrap_or(&hash));
    let present = engine.image(&context.images_name).map_err(doing("look for the images' image"))?;
    let is_present = present.as_ref().is_some_and(|image| image.labels.get(labels::INPUTS) == Some(&hash));
    context.images_inputs.clone_from(&hash);
    if is_present && !context.options.force {
        return Ok(format!("{} is there already", context.images_name));
    }

    let archive = |name: &str| context.directory.path().join(name);
    let mut inbox = Vec::new();
    phase.message("saving the control plane's images");
    let control_plane = archive(CONTROL_PLANE_ARCHIVE);
    let names: Vec<String> = context.control_plane.iter().map(|built| built.name.clone()).collect();
    save(engine, &control_plane, names)?;
    inbox.push((control_plane, CONTROL_PLANE_ARCHIVE.to_owned()));
    for user in &context.images.archives {
        inbox.push((user.path.clone(), format!("10-{}", user.name)));
    }
    if !context.images.references.is_empty() {
        phase.message("saving the listed images");
        let listed = archive("90-listed.tar");
        save(engine, &listed, context.images.references.clone())?;
        inbox.push((listed, "90-listed.tar".to_owned()));
    }
    let appliance = context.appliance.as_ref().map(|built| built.name.clone()).unwrap_or_default();
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: &appliance,
            role: roles::BAKE_IMAGES,
            files: vec![settings_file(context.settings), directory(paths::INBOX_IMAGES)],
            archives: inbox,
            name: &context.images_name,
            healthcheck: None,
            labels: vec![(labels::STAGE, "images"), (labels::INPUTS, &hash), (labels::COMPONENTS, &components)],
        },
    )?;
    if let Some(before) = present.filter(|before| before.id != id) {
        drop_untagged(engine, &before.id, &context.images_name, &[]);
    }
    drop_outdated(context, &components);
    Ok(context.images_name.clone())
}

fn save(engine: &Engine, output: &Path, images: Vec<String>) -> Result<(), Error> {
    let what = format!("save {} images into `{}`", images.len(), output.display());
    engine.run(&Save { output: output.to_owned(), images }).map_err(doing(what))
}

/// The id of an image that a list names.
fn present_or_pulled(engine: &Engine, reference: &str, phase: &Phase) -> Result<(String, bool), Error> {
    let look = || engine.image(reference).map_err(doing(format!("look for the image `{reference}`")));
    if let Some(image) = look()? {
        return Ok((image.id, false));
    }
    phase.message(format_args!("pulling {reference}"));
    let pull = Pull { image: reference.to_owned(), timeout: Some(Duration::from_secs(1800)) };
    engine.run(&pull).map_err(|source| Error::Pull { image: reference.to_owned(), source })?;
    Ok((look()?.map(|image| image.id).unwrap_or_default(), true))
}

/// Removes images with a store of components that are built anew by now: gigabytes that nobody looks for. Those of the
/// same components stay, for the bakes that add other images to them. Baked images on top keep what they need.
fn drop_outdated(context: &Context<'_>, components: &str) {
    let list = command::ImageList {
        filters: vec![
            command::Filter::LabelIs(labels::STAGE.to_owned(), "images".to_owned()),
            command::Filter::LabelIs(
                labels::KUBERNETES_VERSION.to_owned(),
                context.settings.cluster.kubernetes_version.clone(),
            ),
        ],
    };
    let old = match context.engine.images(&list) {
        Ok(images) => images
            .into_iter()
            .filter(|image| image.labels.get(labels::COMPONENTS).is_none_or(|of| of != components))
            .flat_map(|image| image.tags)
            .filter(|tag| *tag != context.images_name)
            .collect::<Vec<_>>(),
        Err(error) => return tracing::warn!("images of earlier bakes are left over: {error}"),
    };
    for image in old.into_iter().filter(|tag| tag.starts_with(IMAGES_REPOSITORY)) {
        // In use by a container somebody keeps, for example.
        if let Err(error) = context.engine.run(&RemoveImage { images: vec![image.clone()], force: false }) {
            tracing::info!("image `{image}` of an earlier bake is left over: {error}");
        }
    }
}

fn bake_cluster(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let settings = context.settings;
    let engine = context.engine;
    let file = settings_file(settings);
    let Content::Text(settings_text) = &file.content else { unreachable!("settings are packed as text") };
    let healthcheck = container::healthcheck(engine.facts());
    context.inputs = inputs::digest(&[
        RECIPE,
        &context.images_inputs,
        settings_text,
        &inputs::digest_packed(&context.hooks)?,
        healthcheck.as_deref().unwrap_or_default(),
    ]);

    let before = engine.image(&settings.image).map_err(doing(format!("look for the image `{}`", settings.image)))?;
    if let Some(image) = &before {
        if image.labels.get(labels::INPUTS) == Some(&context.inputs) && !context.options.force {
            context.baked = Some(image.id.clone());
            context.cached = true;
            return Ok(format!("{} is there already", settings.image));
        }
    }
    let mut files = vec![file];
    files.push(directory(paths::INBOX_HOOKS));
    files.extend(context.hooks.iter().cloned());
    let settings_json = serde_json::to_string(&settings.cluster).unwrap_or_default();
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: &context.images_name,
            role: roles::BAKE_CLUSTER,
            files,
            archives: Vec::new(),
            name: &settings.image,
            healthcheck: healthcheck.as_deref(),
            labels: vec![
                (labels::STAGE, "baked"),
                (labels::INPUTS, &context.inputs),
                (labels::SETTINGS, &settings_json),
            ],
        },
    )?;
    if let Some(before) = before.filter(|before| before.id != id) {
        drop_untagged(engine, &before.id, &settings.image, &further_tags(settings));
    }
    context.baked = Some(id);
    Ok(settings.image.clone())
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

fn tag(context: &mut Context<'_>, _: &Phase) -> Result<String, Error> {
    let tags = further_tags(context.settings);
    for name in &tags {
        let command = Tag { image: context.settings.image.clone(), name: name.clone() };
        context.engine.run(&command).map_err(doing(format!("name the image `{name}`")))?;
    }
    let all: Vec<&str> =
        std::iter::once(context.settings.image.as_str()).chain(tags.iter().map(String::as_str)).collect();
    Ok(all.join(", "))
}

/// The default image goes by its version, too.
fn further_tags(settings: &Settings) -> Vec<String> {
    if !settings.is_default_image() {
        return Vec::new();
    }
    let version = &settings.cluster.kubernetes_version;
    debug_assert!(version.trim_start_matches('v').starts_with(&minor(version)), "the minor is the version's start");
    vec![format!("kubake:{version}")]
}

fn relative(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

fn directory(path: &str) -> Packed {
    Packed { target: relative(path), content: Content::Directory }
}

fn settings_file(settings: &Settings) -> Packed {
    // JSON is YAML: the same reader, and no second way to write it.
    let text = serde_json::to_string_pretty(&settings.cluster).unwrap_or_default();
    Packed { target: relative(paths::SETTINGS), content: Content::Text(text) }
}
