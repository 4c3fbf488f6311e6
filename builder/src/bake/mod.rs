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
mod buildkit;
mod components;
mod container;
mod custom;
mod hooks;
pub mod inputs;
mod secrets;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_init::contract::{BakeRequest, CONTROL_PLANE_ARCHIVE, labels, paths, roles};
use kubake_init::hooks::{Failure, HookError};
use thiserror::Error;

use crate::base_image::{self, BaseImage, BaseImageError};
use crate::checkout::{self, Checkout};
use crate::engine::command::{Pull, RemoveImage, Save, Tag};
use crate::engine::{Engine, EngineError, Image, ImageGuard, RunError, command};
use crate::handed_on::HandedOn;
use crate::printer::{Phase, Printer, chain};
use crate::settings::{Settings, minor};
use crate::versions;
use inputs::{Archive, Content, Hooks, Images, Listed, Packed, Platform, Problem, Watch};
pub use secrets::{Error as HookSecretsError, HookSecrets};

/// Repository of the images that hold a frozen store and no cluster yet.
const IMAGES_REPOSITORY: &str = "kubake/images";
/// Repository of names that images get which a list names by digest, while they are saved.
const BY_DIGEST_REPOSITORY: &str = "kubake/by-digest";
/// The archive of add-ons' images; it sorts after the user's.
const ADDONS_ARCHIVE: &str = "80-addons.tar";
/// The archive of the images that lists name; it sorts after the others.
const LISTED_ARCHIVE: &str = "90-listed.tar";
/// A change of how images are committed makes a new image out of old inputs.
const RECIPE: &str = "1";

/// Why a bake failed. Nothing of it is left in the engine, unless it was to be retained.
#[derive(Debug, Error)]
pub enum Error {
    /// No sources.
    #[error(transparent)]
    Checkout(#[from] checkout::Error),
    /// Kubernetes cannot be built in this version.
    #[error(transparent)]
    Version(#[from] versions::Error),
    /// No sources for add-ons.
    #[error("build the add-ons {}", .addons.join(", "))]
    NoSource {
        /// Their names.
        addons: Vec<String>,
        /// Why not.
        #[source]
        source: checkout::Error,
    },
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
    /// What a custom image is to be made from is no baked image.
    #[error("`{image}` {what}")]
    NotBaked {
        /// The image.
        image: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What a custom image is to be made from was baked with other settings than those that were asked for.
    #[error("`{image}` was baked with other settings:{}", differences_text(.different))]
    OtherSettings {
        /// The image.
        image: String,
        /// What differs: key, wanted, baked.
        different: Vec<(String, String, String)>,
    },
    /// kubeadm's list of images is not what we build.
    #[error("kubeadm {version} wants the image `{image}`, which kubake does not build")]
    UnknownImage {
        /// Version of Kubernetes.
        version: String,
        /// The image.
        image: String,
    },
    /// A hook on the host failed.
    #[error("hook {hook} failed{}", retained_text(.retained.as_deref()))]
    Hook {
        /// Moment and file.
        hook: String,
        /// The build container's name, where it was kept.
        retained: Option<String>,
        /// How it went.
        #[source]
        source: RunError,
    },
    /// The hooks on the host cannot be found.
    #[error(transparent)]
    Hooks {
        /// Why.
        source: HookError,
    },
    /// The user asked to stop while files were looked through.
    #[error("interrupted while looking through what is to be baked in")]
    Interrupted,
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

/// A line for each setting that differs.
pub(crate) fn differences_text(different: &[(String, String, String)]) -> String {
    different.iter().map(|(key, wanted, baked)| format!("\n  {key}: wanted {wanted}, baked {baked}")).collect()
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
            Self::Version(error) => error.hint(),
            Self::Inputs(error) => error.hint(),
            Self::Checkout(_) => Some(
                "run kubake in a checkout of its source, or run an image that is already baked with `--image`"
                    .to_owned(),
            ),
            Self::NoSource { .. } => Some("add-ons are built from kubake's source; run kubake in a checkout of it".to_owned()),
            Self::Container { retained: Some(name), .. } => Some(format!(
                "look with `docker logs {name}`, then remove it with `docker rm --force --volumes {name}`"
            )),
            Self::Container { retained: None, .. } => {
                Some("keep the build container with `--retain` to look around in it".to_owned())
            }
            Self::Hook { .. } => Some(
                "it runs on this host with the build container's id as its argument; `hooks/README.md` says what is there, \
                 and `--hook-timeout` gives it more time"
                    .to_owned(),
            ),
            Self::NotBaked { .. } => Some("bake one with `kubake bake`, and name that with `--from`".to_owned()),
            Self::OtherSettings { .. } => {
                Some("leave these settings out, or bake an image with them to start from".to_owned())
            }
            Self::Build { .. } => Some("see the whole build with `-v`".to_owned()),
            _ => None,
        }
    }

    /// A hook that failed may leave its container for somebody to look at.
    fn retained_by(mut self, keep: impl FnOnce() -> Option<String>) -> Self {
        if let Self::Hook { source, retained, .. } = &mut self {
            if !source.is_interrupted() {
                *retained = keep();
            }
        }
        self
    }

    /// Whether the user asked to stop.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Build { source, .. } | Self::Hook { source, .. } | Self::Run { source, .. } => {
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
    pub handed_on: HandedOn,
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
    Step::always("images", bake_images),
    Step::always("cluster", bake_cluster),
    Step::always("tags", tag),
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
        tags: further_tags(settings),
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
        problems.extend(unusable(listed, image.as_ref(), &platform));
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

/// Why a listed image cannot be taken as the engine has it.
fn unusable(listed: &Listed, image: Option<&Image>, platform: &Platform) -> Option<Problem> {
    let Listed { reference, .. } = listed;
    match image {
        None if listed.is_local => Some(listed.problem(format!(
            "the engine has no image `{reference}`; build it, or leave `docker://` out to have it pulled"
        ))),
        Some(image) if !platform.runs(&Platform::new("", &image.architecture)) => Some(listed.problem(format!(
            "the engine's image `{reference}` is for {}, and the engine runs {platform}; pull it for that platform",
            image.architecture
        ))),
        _ => None,
    }
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
    parts.extend(users_inputs(context, phase)?);
    let hash = inputs::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    context.images_name = format!("{IMAGES_REPOSITORY}:{}", hash.get(..16).unwrap_or(&hash));
    let present = engine.image(&context.images_name).map_err(doing("look for the images' image"))?;
    let is_present = present.as_ref().is_some_and(|image| image.labels.get(labels::INPUTS) == Some(&hash));
    context.images_inputs.clone_from(&hash);
    if is_present && !context.options.force {
        return Ok(format!("{} is there already", context.images_name));
    }

    let mut inbox = Vec::new();
    phase.message("saving the control plane's images");
    let control_plane = context.directory.path().join(CONTROL_PLANE_ARCHIVE);
    let names: Vec<String> = context.control_plane.iter().map(|built| built.name.clone()).collect();
    save(engine, &control_plane, names)?;
    inbox.push((saved(control_plane, CONTROL_PLANE_ARCHIVE)?, CONTROL_PLANE_ARCHIVE.to_owned()));
    let users = users_images(context, phase)?;
    inbox.extend(users.archives);
    let keeps_packed_layers = context.settings.packed_layers;
    let request = BakeRequest { names: users.names, keeps_packed_layers, ..BakeRequest::default() };
    let appliance = context.appliance.as_ref().map(|built| built.name.clone()).unwrap_or_default();
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: &appliance,
            role: roles::BAKE_IMAGES,
            files: vec![settings_file(context.settings), directory(paths::INBOX_IMAGES), request_file(&request)],
            archives: inbox,
            trees: Vec::new(),
            has_hooks: false,
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

/// The user's images as they go into the inbox.
struct UsersImages {
    archives: Vec<(Archive, String)>,
    /// What images of an archive shall be called instead.
    names: BTreeMap<String, String>,
}

fn users_images(context: &Context<'_>, phase: &Phase) -> Result<UsersImages, Error> {
    let named = |archive: &Archive| (archive.clone(), format!("10-{}", archive.name));
    let mut archives: Vec<_> = context.images.archives.iter().map(named).collect();
    let mut names = BTreeMap::new();
    if !context.addons.images.is_empty() {
        phase.message("saving the add-ons' images");
        let path = context.directory.path().join(ADDONS_ARCHIVE);
        save(context.engine, &path, context.addons.images.iter().map(|built| built.name.clone()).collect())?;
        archives.push((saved(path, ADDONS_ARCHIVE)?, ADDONS_ARCHIVE.to_owned()));
    }
    if !context.images.listed.is_empty() {
        phase.message("saving the listed images");
        let listed = context.directory.path().join(LISTED_ARCHIVE);
        names = save_listed(context.engine, &listed, &context.images.listed)?;
        archives.push((saved(listed, LISTED_ARCHIVE)?, LISTED_ARCHIVE.to_owned()));
    }
    Ok(UsersImages { archives, names })
}

/// What of the user's images and the add-ons' makes an image another one.
fn users_inputs(context: &Context<'_>, phase: &Phase) -> Result<Vec<String>, Error> {
    let mut parts: Vec<String> = context.images.archives.iter().map(|archive| archive.digest.clone()).collect();
    parts.extend(pull_listed(context.engine, &context.images.listed, phase)?);
    parts.extend(context.addons.images.iter().map(|built| format!("{} {}", built.name, built.id)));
    if !parts.is_empty() && context.settings.packed_layers {
        parts.push("with packed layers".to_owned());
    }
    Ok(parts)
}

/// What of hooks, manifests and programs makes an image another one.
fn hooks_inputs(context: &Context<'_>) -> Result<Vec<String>, Error> {
    // Their names, because a hash of a value is a help to whoever wants to guess it.
    let mut given: Vec<&str> = context.options.secrets.names().collect();
    if context.settings.hook_failure == Failure::Report {
        // No name of a variable.
        given.push("failed hooks are reported");
    }
    let mut parts = vec![
        inputs::digest_packed(&context.hooks.packed)?,
        inputs::digest_packed(&context.hooks.host)?,
        inputs::digest(&given),
    ];
    for path in &context.addons.trees {
        parts.push(inputs::digest_file(path)?);
    }
    Ok(parts)
}

fn save(engine: &Engine, output: &Path, images: Vec<String>) -> Result<(), Error> {
    let what = format!("save {} images into `{}`", images.len(), output.display());
    engine.run(&Save { output: output.to_owned(), images }).map_err(doing(what))
}

/// What was just saved, to be copied.
fn saved(path: PathBuf, name: &str) -> Result<Archive, Error> {
    let failed = |path: PathBuf| move |source| inputs::Error::Read { path, source };
    Ok(Archive::plain(path.clone(), name).map_err(failed(path))?)
}

/// Saves images of lists. An archive holds no names by digest, so those images get a name of ours for as long as it takes;
/// answers with the names that they shall have, by those in the archive.
fn save_listed(engine: &Engine, output: &Path, listed: &[Listed]) -> Result<BTreeMap<String, String>, Error> {
    let (mut images, mut names, mut guards) = (Vec::new(), BTreeMap::new(), Vec::new());
    for Listed { reference, .. } in listed {
        let Some(name) = name_by_digest(reference) else {
            images.push(reference.clone());
            continue;
        };
        let ours = format!("{BY_DIGEST_REPOSITORY}:{}-{}", std::process::id(), names.len());
        // Before there is anything to guard: the tag must not be left over in any case.
        guards.push(ImageGuard::new(engine, &ours));
        engine
            .run(&Tag { image: reference.clone(), name: ours.clone() })
            .map_err(doing(format!("name the image `{reference}`")))?;
        images.push(ours.clone());
        names.insert(ours, name);
    }
    save(engine, output, images)?;
    Ok(names)
}

/// The name under which Kubernetes looks for an image by digest: a tag beside the digest does not count.
fn name_by_digest(reference: &str) -> Option<String> {
    let (name, digest) = reference.split_once('@')?;
    let start = name.rfind('/').map_or(0, |at| at + 1);
    let name = name.get(start..).and_then(|last| last.find(':')).map_or(name, |at| &name[..start + at]);
    let name = match name.split_once('/') {
        Some((registry, _)) if registry.contains(['.', ':']) || registry == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    };
    Some(format!("{name}@{digest}"))
}

/// What images of lists are, by name and id, those that the engine does not have pulled first; or all that cannot be had.
fn pull_listed(engine: &Engine, listed: &[Listed], phase: &Phase) -> Result<Vec<String>, Error> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    // The same image by another name is another input.
    let part = |reference: &str, id: &str| format!("{reference} {id}");
    for image in listed {
        let Listed { reference, .. } = image;
        if let Some(present) = look(engine, reference)? {
            found.push(part(reference, &present.id));
            continue;
        }
        phase.message(format_args!("pulling {reference}"));
        let pull = Pull { image: reference.clone(), timeout: Some(Duration::from_secs(1800)) };
        match engine.run(&pull) {
            Ok(()) => {
                let id = look(engine, reference)?.map(|image| image.id).unwrap_or_default();
                found.push(part(reference, &id));
            }
            Err(source) if source.is_interrupted() => {
                return Err(Error::Run { doing: format!("pull `{reference}`"), source });
            }
            Err(error) => {
                let why = chain(&error);
                problems
                    .push(image.problem(format!("pull `{reference}`: {why}; see that its registry can be reached")));
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(inputs::Error::Problems(problems).into()) }
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
    let hooks = hooks_inputs(context)?;
    let mut parts = vec![RECIPE, &context.images_inputs, settings_text];
    parts.extend(hooks.iter().map(String::as_str));
    parts.push(healthcheck.as_deref().unwrap_or_default());
    context.inputs = inputs::digest(&parts);

    let before = look(engine, &settings.image)?;
    if let Some(remark) = is_there_already(context, before.as_ref()) {
        return Ok(remark);
    }
    let mut files = vec![file];
    let request = BakeRequest {
        hook_timeout_seconds: settings.hook_timeout.as_secs(),
        reports_failed_hooks: settings.hook_failure == Failure::Report,
        authorities: context.options.handed_on.authorities().to_vec(),
        ..BakeRequest::default()
    };
    files.extend([request_file(&request), directory(paths::INBOX_HOOKS), directory(paths::HOOKS)]);
    files.extend(context.hooks.packed.iter().cloned());
    let settings_json = serde_json::to_string(&settings.cluster).unwrap_or_default();
    let addons = settings.addons.join(",");
    let mut labels =
        vec![(labels::STAGE, "baked"), (labels::INPUTS, &context.inputs), (labels::SETTINGS, &settings_json)];
    if !addons.is_empty() {
        labels.push((labels::ADDONS, &addons));
    }
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: &context.images_name,
            role: roles::BAKE_CLUSTER,
            files,
            archives: Vec::new(),
            trees: context.addons.trees.clone(),
            has_hooks: true,
            name: &settings.image,
            healthcheck: healthcheck.as_deref(),
            labels,
        },
    )?;
    if let Some(before) = before.filter(|before| before.id != id) {
        drop_untagged(engine, &before.id, &settings.image, &further_tags(settings));
    }
    context.baked = Some(id);
    Ok(settings.image.clone())
}

/// Notes the image and answers with a remark if it was made from the same as is to be baked now.
fn is_there_already(context: &mut Context<'_>, image: Option<&Image>) -> Option<String> {
    let image = image.filter(|image| image.labels.get(labels::INPUTS) == Some(&context.inputs))?;
    if context.options.force {
        return None;
    }
    context.baked = Some(image.id.clone());
    context.cached = true;
    Some(format!("{} is there already", context.settings.image))
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

fn request_file(request: &BakeRequest) -> Packed {
    let text = serde_json::to_string_pretty(request).unwrap_or_default();
    Packed { target: relative(paths::INBOX_REQUEST), content: Content::Text(text) }
}

fn settings_file(settings: &Settings) -> Packed {
    // JSON is YAML: the same reader, and no second way to write it.
    let text = serde_json::to_string_pretty(&settings.cluster).unwrap_or_default();
    Packed { target: relative(paths::SETTINGS), content: Content::Text(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_digest_are_those_that_kubernetes_looks_for() {
        for (reference, name) in [
            ("nginx:1.29", None),
            ("nginx@sha256:0a", Some("docker.io/library/nginx@sha256:0a")),
            ("nginx:1.29@sha256:0a", Some("docker.io/library/nginx@sha256:0a")),
            ("me/app@sha256:0a", Some("docker.io/me/app@sha256:0a")),
            ("reg.example:5000/app:2@sha256:0a", Some("reg.example:5000/app@sha256:0a")),
        ] {
            assert_eq!(name_by_digest(reference).as_deref(), name, "{reference}");
        }
    }

    #[test]
    fn a_listed_image_that_is_absent_or_for_another_machine_is_told_with_its_line() {
        let platform = Platform::new("linux", "amd64");
        let listed = |is_local| Listed {
            reference: "me/app".to_owned(),
            is_local,
            path: PathBuf::from("images.d/a.txt"),
            line: 3,
        };
        let image: Image = Image {
            id: "sha256:1".to_owned(),
            tags: Vec::new(),
            digests: Vec::new(),
            labels: BTreeMap::new(),
            env: Vec::new(),
            entrypoint: Vec::new(),
            size: 0,
            created: String::new(),
            architecture: "arm64".to_owned(),
            layers: Vec::new(),
        };
        assert_eq!(unusable(&listed(false), None, &platform), None, "it is pulled");
        let text = unusable(&listed(true), None, &platform).unwrap().to_string();
        assert!(text.starts_with("`images.d/a.txt`, line 3: the engine has no image `me/app`; build it"), "{text}");
        let text = unusable(&listed(true), Some(&image), &platform).unwrap().to_string();
        assert!(text.contains("line 3") && text.contains("is for arm64, and the engine runs linux/amd64"), "{text}");
        let image = Image { architecture: "amd64".to_owned(), ..image };
        assert_eq!(unusable(&listed(true), Some(&image), &platform), None);
    }
}
