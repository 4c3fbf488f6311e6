//! What the two bakes have in common that make an image which boots, from source (`cluster`) and on top of a baked image
//! (`custom`): inputs, files and labels that both have, and what becomes of the image that had the name before. Owns when
//! there is nothing to do.

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

/// What they differ in.
pub(super) struct BootableImage<'a> {
    /// The image to start from.
    pub(super) from: &'a str,
    /// The role of `kubake-init`.
    pub(super) role: &'static str,
    /// Files that only this one has.
    pub(super) files: Vec<Packed>,
    /// Archives of images and what they are called in the inbox.
    pub(super) archives: Vec<(Archive, String)>,
    /// What is asked for about these images.
    pub(super) request: BakeRequest,
    /// Labels that only this one has.
    pub(super) labels: Vec<(&'static str, &'a str)>,
    /// Names of the add-ons that the image has in the end.
    pub(super) addons: &'a str,
    /// Names that the image gets beside its own.
    pub(super) tags: Vec<String>,
    /// The image that has the name so far.
    pub(super) before: Option<Image>,
}

/// Notes what the image is made from: `parts` and what every such image is. Ends with a remark if there is one that was made
/// from the same; else answers with the one that has the name so far.
pub(super) fn reuse_unchanged(
    context: &mut Context<'_>,
    mut parts: Vec<String>,
) -> Result<ControlFlow<String, Option<Image>>, Error> {
    parts.push(RECIPE.to_owned());
    parts.push(container::healthcheck(context.engine.facts()).unwrap_or_default());
    parts.extend(hooks_inputs(context)?);
    context.inputs = digest::of_parts(&parts);
    let image = find_image(context.engine, &context.settings.image)?;
    Ok(match is_there_already(context, image.as_ref()) {
        Some(remark) => ControlFlow::Break(remark),
        None => ControlFlow::Continue(image),
    })
}

/// Makes the image.
pub(super) fn build(context: &mut Context<'_>, phase: &Phase, bake: BootableImage<'_>) -> Result<String, Error> {
    let (engine, settings) = (context.engine, context.settings);
    let request = BakeRequest {
        hook_timeout_seconds: settings.bake.hook_timeout.as_secs(),
        reports_failed_hooks: settings.bake.hook_failure == Failure::Report,
        authorities: context.options.host_context.authorities().to_vec(),
        ..bake.request
    };
    let mut files = bake.files;
    files.extend([request_file(&request), directory(paths::INBOX_HOOKS), directory(paths::HOOKS)]);
    files.extend(context.hooks.packed.iter().cloned());
    let settings_json = serde_json::to_string(&settings.cluster).unwrap_or_default();
    let mut labels = vec![
        (labels::STAGE, "baked"),
        (labels::INPUTS, context.inputs.as_str()),
        (labels::SETTINGS, settings_json.as_str()),
    ];
    labels.extend(bake.labels);
    if !bake.addons.is_empty() {
        labels.push((labels::ADDONS, bake.addons));
    }
    let healthcheck = container::healthcheck(engine.facts());
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: bake.from,
            role: bake.role,
            files,
            archives: bake.archives,
            trees: context.addons.trees.clone(),
            has_hooks: true,
            name: &settings.image,
            healthcheck: healthcheck.as_deref(),
            labels,
        },
    )?;
    // An image that took the name of what it was made from needs that.
    if let Some(before) = bake.before.filter(|before| before.id != id && before.id != bake.from) {
        remove_replaced_image(engine, &before.id, &settings.image, &bake.tags);
    }
    context.baked = Some(id);
    Ok(settings.image.clone())
}

/// What of hooks, manifests and programs makes an image another one.
fn hooks_inputs(context: &Context<'_>) -> Result<Vec<String>, Error> {
    // Their names, because a hash of a value is a help to whoever wants to guess it.
    let mut given: Vec<&str> = context.options.secrets.names().collect();
    if context.settings.bake.hook_failure == Failure::Report {
        // No name of a variable.
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
