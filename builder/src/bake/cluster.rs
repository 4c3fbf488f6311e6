//! The second half of a bake from source: creates a cluster in the image of the first half, and tags the result.

use std::ops::ControlFlow;

use kubake_contract::{BakeRequest, roles};

use super::bootable::{self, BootableImage};
use super::context::Context;
use super::error::{Error, failed_to};
use super::inbox::settings_file;
use super::inputs::Content;
use super::tags::further_tags;
use crate::engine::command::Tag;
use crate::printer::Phase;

pub(super) fn bake_cluster(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let settings = context.settings;
    let file = settings_file(settings);
    let Content::Text(settings_text) = &file.content else { unreachable!("settings are packed as text") };
    let before = match bootable::reuse_unchanged(context, vec![context.images_inputs.clone(), settings_text.clone()])? {
        ControlFlow::Break(remark) => return Ok(remark),
        ControlFlow::Continue(before) => before,
    };
    let (from, addons) = (context.images_id.clone(), settings.bake.addons.join(","));
    let image = BootableImage {
        from: &from,
        role: roles::BAKE_CLUSTER,
        files: vec![file],
        archives: Vec::new(),
        request: BakeRequest::default(),
        labels: Vec::new(),
        addons: &addons,
        tags: further_tags(settings),
        before,
    };
    bootable::build(context, phase, image)
}

pub(super) fn tag(context: &mut Context<'_>, _: &Phase) -> Result<String, Error> {
    let tags = further_tags(context.settings);
    for name in &tags {
        // By id, because another bake may take the name meanwhile.
        let image = context.baked.clone().unwrap_or_else(|| context.settings.image.clone());
        let command = Tag { image, name: name.clone() };
        context.engine.run(&command).map_err(failed_to(format!("tag the image as `{name}`")))?;
    }
    let all: Vec<&str> =
        std::iter::once(context.settings.image.as_str()).chain(tags.iter().map(String::as_str)).collect();
    Ok(all.join(", "))
}
