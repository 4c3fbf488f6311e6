//! Removes images that a bake has replaced and that nothing needs any more. A failure is logged and never ends a bake.

use kubake_contract::{ImageReference, labels};

use super::context::Context;
use crate::engine::Engine;
use crate::engine::command::{Filter, ImageList, RemoveImage};

/// Removes the image that had the name before, unless it has another name, or a container or an image still needs it.
pub(super) fn remove_replaced_image(engine: &Engine, id: &str, name: &str, further: &[String]) {
    let is = |tag: &str, name: &str| canonical(engine.name_as_given(tag)) == canonical(engine.name_as_given(name));
    match engine.image(id) {
        Ok(Some(image)) if image.tags.iter().all(|tag| is(tag, name) || further.iter().any(|other| is(tag, other))) => {
            let mut images: Vec<String> = image.tags.into_iter().filter(|tag| !is(tag, name)).collect();
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
            .filter(|tag| is_outdated(context.engine.name_as_given(tag), repository, &context.images_name))
            .collect::<Vec<_>>(),
        Err(error) => return tracing::warn!("failed to list the images of earlier bakes, which stay: {error}"),
    };
    for image in old {
        // Expected if a container still uses the image.
        if let Err(error) = context.engine.run(&RemoveImage { images: vec![image.clone()], force: false }) {
            tracing::info!("failed to remove the image `{image}` of an earlier bake: {error}");
        }
    }
}

/// The full name, by which names that mean the same image are equal: engines print other parts than the user gives.
fn canonical(name: &str) -> String {
    ImageReference::parse(name).map_or_else(|| name.to_owned(), |reference| reference.canonical())
}

fn is_outdated(tag: &str, repository: &str, current: &str) -> bool {
    tag != current && tag.strip_prefix(repository).is_some_and(|rest| rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_image_are_equal() {
        assert_eq!(canonical("mine"), canonical("docker.io/library/mine:latest"));
        assert_ne!(canonical("mine:1"), canonical("localhost/mine:1"));
        assert!(is_outdated("kubake/images:1", "kubake/images", "kubake/images:2"));
        assert!(!is_outdated("kubake/images:2", "kubake/images", "kubake/images:2"));
        assert!(!is_outdated("kubake/images-of-mine:1", "kubake/images", "kubake/images:2"));
    }
}
