//! Images that boot a cluster: the common part of a bake from source (`cluster`) and one on top of a baked image
//! (`custom`). Owns the inputs, files and labels that both have, the decision that nothing has changed, and the removal of
//! the image that the new one replaces.

use std::ops::ControlFlow;

use kubake_contract::hooks::Failure;
use kubake_contract::{BakeRequest, labels, paths};

use super::container::{self, RECIPE};
use super::context::{Context, find_image};
use super::error::Error;
use super::image_cleanup::remove_replaced_image;
use super::inbox::{directory, request_file};
use super::inputs::{self, Archive, Packed};
use crate::digest;
use crate::engine::Image;
use crate::printer::Phase;

/// The part in which the two bakes differ.
pub(super) struct BootableImage<'a> {
    pub(super) from: &'a str,
    /// The role in which `kubake-init` runs in the build container.
    pub(super) role: &'static str,
    /// Files for the build container beside the common ones.
    pub(super) files: Vec<Packed>,
    /// Archives of images, each with its name in the inbox.
    pub(super) archives: Vec<(Archive, String)>,
    /// How `kubake-init` treats these images.
    pub(super) request: BakeRequest,
    /// Labels beside the common ones.
    pub(super) labels: Vec<(&'static str, &'a str)>,
    /// Names of all add-ons in the new image, separated by commas; empty if there are none.
    pub(super) addons: &'a str,
    /// Further names of the new image.
    pub(super) tags: Vec<String>,
    /// The image that has the name until this bake ends.
    pub(super) before: Option<Image>,
}

/// Computes the inputs digest of `parts` and the common inputs. Breaks with a remark if the existing image has the same
/// inputs; otherwise continues with the image that has the name until now.
pub(super) fn reuse_unchanged(
    context: &mut Context<'_>,
    mut parts: Vec<String>,
) -> Result<ControlFlow<String, Option<Image>>, Error> {
    parts.push(RECIPE.to_owned());
    parts.push(container::healthcheck(context.engine.facts()).unwrap_or_default());
    parts.extend(hooks_inputs(context)?);
    context.inputs = digest::of_parts(&parts);
    let image = find_image(context.engine, &context.settings.image)?;
    Ok(match unchanged(context, image.as_ref()) {
        Some(remark) => ControlFlow::Break(remark),
        None => ControlFlow::Continue(image),
    })
}

/// Builds the image and removes the one that it replaces. Returns the name.
pub(super) fn build(context: &mut Context<'_>, phase: &Phase, image: BootableImage<'_>) -> Result<String, Error> {
    let (engine, settings) = (context.engine, context.settings);
    let request = BakeRequest {
        hook_timeout_seconds: settings.bake.hook_timeout.as_secs(),
        reports_failed_hooks: settings.bake.hook_failure == Failure::Report,
        authorities: context.options.host_context.authorities().to_vec(),
        ..image.request
    };
    let mut files = image.files;
    files.extend([request_file(&request), directory(paths::INBOX_HOOKS), directory(paths::HOOKS)]);
    files.extend(context.hooks.packed.iter().cloned());
    let settings_json = serde_json::to_string(&settings.cluster).unwrap_or_default();
    let mut labels = vec![
        (labels::STAGE, labels::BAKED),
        (labels::INPUTS, context.inputs.as_str()),
        (labels::SETTINGS, settings_json.as_str()),
    ];
    labels.extend(image.labels);
    if !image.addons.is_empty() {
        labels.push((labels::ADDONS, image.addons));
    }
    let healthcheck = container::healthcheck(engine.facts());
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: image.from,
            role: image.role,
            files,
            archives: image.archives,
            trees: context.addons.trees.clone(),
            has_hooks: true,
            name: &settings.image,
            healthcheck: healthcheck.as_deref(),
            labels,
        },
    )?;
    // The new image may have been built on the old one, which it then needs.
    if let Some(before) = image.before.filter(|before| before.id != id && before.id != image.from) {
        remove_replaced_image(engine, &before.id, &settings.image, &image.tags);
    }
    context.baked = Some(id);
    Ok(settings.image.clone())
}

/// Inputs of hooks, manifests and programs: if one changes, the image is built anew.
fn hooks_inputs(context: &Context<'_>) -> Result<Vec<String>, Error> {
    // The names alone, because a hash of a secret helps an attacker to guess it.
    let mut given: Vec<&str> = context.options.secrets.names().collect();
    if context.settings.bake.hook_failure == Failure::Report {
        // No variable can have this name.
        given.push("failed hooks are reported");
    }
    let mut parts = vec![
        inputs::digest_packed(&context.hooks.packed)?,
        inputs::digest_packed(&context.hooks.host)?,
        digest::of_parts(&given),
    ];
    for path in &context.addons.trees {
        parts.push(inputs::digest_file(path)?);
    }
    Ok(parts)
}

/// Records the existing image and returns a remark if it was made from the same inputs.
fn unchanged(context: &mut Context<'_>, image: Option<&Image>) -> Option<String> {
    let image = image.filter(|image| image.labels.get(labels::INPUTS) == Some(&context.inputs))?;
    if context.options.force {
        return None;
    }
    context.baked = Some(image.id.clone());
    context.cached = true;
    Some(format!("{} is up to date", context.settings.image))
}
