//! The first half of a bake: an appliance with all images in its frozen store. Owns the inputs of that image and the
//! content of its inbox.

use kubake_contract::{BakeRequest, CONTROL_PLANE_ARCHIVE, labels, paths, roles};

use super::built::Built;
use super::container::{self, RECIPE};
use super::context::{Context, find_image};
use super::engine_archive::{Saved, own_repository, save, saved};
use super::error::Error;
use super::image_cleanup::{remove_outdated_stores, remove_replaced_image};
use super::inbox::{directory, request_file, settings_file};
use super::user_images::{users_images, users_inputs};
use crate::digest;
use crate::printer::Phase;

/// Repository of images with a frozen store and without a cluster.
const IMAGES_REPOSITORY: &str = "kubake/images";

pub(super) fn bake_images(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let built = context.appliance.iter().chain(&context.control_plane).map(|built| built.id.as_str());
    let components = digest::of_parts(&built.collect::<Vec<_>>());
    let mut parts = vec![RECIPE.to_owned(), components.clone()];
    parts.extend(users_inputs(context, phase)?);
    let hash = digest::of_parts(&parts);
    context.images_name = format!("{IMAGES_REPOSITORY}:{}", digest::short(&hash));
    let present = find_image(engine, &context.images_name)?;
    let is_present = present.as_ref().is_some_and(|image| image.labels.get(labels::INPUTS) == Some(&hash));
    context.images_inputs.clone_from(&hash);
    if is_present && !context.options.force {
        context.images_id = present.map(|image| image.id).unwrap_or_default();
        return Ok(format!("{} is up to date", context.images_name));
    }

    let mut inbox = Vec::new();
    phase.message("saving the control plane's images");
    let control_plane = context.directory.path().join(CONTROL_PLANE_ARCHIVE);
    save(engine, &control_plane, &own_names(&context.control_plane))?;
    inbox.push((saved(control_plane, CONTROL_PLANE_ARCHIVE)?, CONTROL_PLANE_ARCHIVE.to_owned()));
    let users = users_images(context, phase)?;
    inbox.extend(users.archives);
    let keeps_packed_layers = context.settings.bake.packed_layers;
    let request = BakeRequest { names: users.names, keeps_packed_layers, ..BakeRequest::default() };
    let appliance = context.appliance.as_ref().map(|built| built.id.clone()).unwrap_or_default();
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
        remove_replaced_image(engine, &before.id, &context.images_name, &[]);
    }
    context.images_id = id;
    remove_outdated_stores(context, IMAGES_REPOSITORY, &components);
    Ok(context.images_name.clone())
}

/// The control plane's images with names of this bake. `kubake-init` goes by the last part and the tag.
fn own_names(control_plane: &[Built]) -> Vec<Saved> {
    let repository = own_repository();
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let images = control_plane.iter();
    images.map(|built| Saved { id: built.id.clone(), name: format!("{repository}/{}", last(&built.name)) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bakes_save_under_different_names() {
        let built = [Built { name: "kubake/etcd:3.6.8-0".to_owned(), id: "sha256:1".to_owned() }];
        let (one, two) = (own_names(&built), own_names(&built));
        assert_ne!(one, two);
        assert!(one[0].name.starts_with("kubake/bake-") && one[0].name.ends_with("/etcd:3.6.8-0"), "{one:?}");
    }
}
