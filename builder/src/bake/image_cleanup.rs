//! Removes images that a bake has replaced and that nothing needs any more. A failure is logged and never ends a bake.

use kubake_contract::labels;

use super::context::Context;
use crate::engine::Engine;
use crate::engine::command::{Filter, ImageList, RemoveImage};

/// Removes the image that had the name before, unless it has another name, or a container or an image still needs it.
pub(super) fn remove_replaced_image(engine: &Engine, id: &str, name: &str, further: &[String]) {
    match engine.image(id) {
        Ok(Some(image)) if image.tags.iter().all(|tag| tag == name || further.contains(tag)) => {
            let mut images: Vec<String> = image.tags.into_iter().filter(|tag| tag != name).collect();
            images.push(id.to_owned());
            for image in images {
                if let Err(error) = engine.run(&RemoveImage { images: vec![image.clone()], force: false }) {
                    if !error.is_not_found() {
                        tracing::info!("failed to remove the replaced image `{image}`: {error}");
                    }
                }
            }
        }
        Ok(_) => {}
        Err(error) => tracing::info!("failed to look up the replaced image `{id}`: {error}"),
    }
}

/// Removes images with a frozen store of older components, which take gigabytes. Stores of the same components stay, for
/// bakes that add other images to them. Baked images on top keep the layers that they need.
pub(super) fn remove_outdated_stores(context: &Context<'_>, repository: &str, components: &str) {
    let list = ImageList {
        filters: vec![
            Filter::LabelIs(labels::STAGE.to_owned(), "images".to_owned()),
            Filter::LabelIs(labels::KUBERNETES_VERSION.to_owned(), context.settings.cluster.kubernetes_version.clone()),
        ],
    };
    let old = match context.engine.images(&list) {
        Ok(images) => images
            .into_iter()
            .filter(|image| image.labels.get(labels::COMPONENTS).is_none_or(|of| of != components))
            .flat_map(|image| image.tags)
            .filter(|tag| *tag != context.images_name)
            .collect::<Vec<_>>(),
        Err(error) => return tracing::warn!("failed to list the images of earlier bakes, which stay: {error}"),
    };
    for image in old.into_iter().filter(|tag| tag.starts_with(repository)) {
        // Expected if a container still uses the image.
        if let Err(error) = context.engine.run(&RemoveImage { images: vec![image.clone()], force: false }) {
            tracing::info!("failed to remove the image `{image}` of an earlier bake: {error}");
        }
    }
}
