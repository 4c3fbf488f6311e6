//! The step that builds the images and programs of add-ons.

use super::addons::name_of;
use super::context::Context;
use super::error::Error;
use super::image_build;
use crate::printer::Phase;

/// Builds what the add-ons of this bake name. Returns their names.
pub(super) fn build(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    for image in context.addons.wanted_images() {
        let target = image.split_once(':').map_or(image.as_str(), |(target, _)| target);
        let built = image_build::build_one(context, phase, target, name_of(&image))?;
        context.addons.images.push(built);
    }
    for target in context.addons.wanted_programs() {
        let path = context.directory.path().join(format!("program-{target}.tar"));
        image_build::build_tree(context, phase, &target, &path)?;
        context.addons.trees.push(path);
    }
    Ok(context.settings.bake.addons.join(", "))
}
