//! The first half of a bake: an appliance with all images in its frozen store. Owns how the user's images get there, from
//! archives and from lists, and which of its own images an engine needs no more. What is an archive or a list is
//! `inputs`' business.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_init::contract::{BakeRequest, CONTROL_PLANE_ARCHIVE, labels, paths, roles};

use super::inputs::{self, Archive, Listed, Platform, Problem};
use super::{Context, Error, RECIPE, container, directory, doing, drop_untagged, look, request_file, settings_file};
use crate::advice::Advice;
use crate::digest;
use crate::engine::command::{self, Pull, RemoveImage, Save, Tag};
use crate::engine::{Engine, Image, ImageGuard};
use crate::printer::{Phase, chain};

/// Repository of the images that hold a frozen store and no cluster yet.
const IMAGES_REPOSITORY: &str = "kubake/images";
/// Repository of names that images get which a list names by digest, while they are saved.
const BY_DIGEST_REPOSITORY: &str = "kubake/by-digest";
/// The archive of add-ons' images; it sorts after the user's.
const ADDONS_ARCHIVE: &str = "80-addons.tar";
/// The archive of the images that lists name; it sorts after the others.
const LISTED_ARCHIVE: &str = "90-listed.tar";

/// Why a listed image cannot be taken as the engine has it.
pub(super) fn unusable(listed: &Listed, image: Option<&Image>, platform: &Platform) -> Option<Problem> {
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

pub(super) fn bake_images(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let built = context.appliance.iter().chain(&context.control_plane).map(|built| built.id.as_str());
    let components = digest::of_parts(&built.collect::<Vec<_>>());
    let mut parts = vec![RECIPE.to_owned(), components.clone()];
    parts.extend(users_inputs(context, phase)?);
    let hash = digest::of_parts(&parts);
    context.images_name = format!("{IMAGES_REPOSITORY}:{}", digest::short(&hash));
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
pub(super) struct UsersImages {
    pub(super) archives: Vec<(Archive, String)>,
    /// What images of an archive shall be called instead.
    pub(super) names: BTreeMap<String, String>,
}

pub(super) fn users_images(context: &Context<'_>, phase: &Phase) -> Result<UsersImages, Error> {
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
pub(super) fn users_inputs(context: &Context<'_>, phase: &Phase) -> Result<Vec<String>, Error> {
    let mut parts: Vec<String> = context.images.archives.iter().map(|archive| archive.digest.clone()).collect();
    parts.extend(pull_listed(context.engine, &context.images.listed, phase)?);
    parts.extend(context.addons.images.iter().map(|built| format!("{} {}", built.name, built.id)));
    if !parts.is_empty() && context.settings.packed_layers {
        parts.push("with packed layers".to_owned());
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
