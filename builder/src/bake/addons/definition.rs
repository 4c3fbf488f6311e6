//! The format of `addon.yaml`. Pure.

use kubake_contract::names;
use serde::Deserialize;

/// The images and programs of an add-on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Definition {
    /// Each `TARGET:TAG`: a target of the Dockerfile, and the tag that the manifests name.
    pub(super) images: Vec<String>,
    /// Targets of the Dockerfile whose files become files of the node.
    pub(super) programs: Vec<String>,
}

impl Definition {
    /// Parses `addon.yaml`. Returns all mistakes in it as an error.
    pub(super) fn parse(text: &str) -> Result<Self, Vec<String>> {
        // An empty file is an add-on that has only manifests.
        let read: Option<Self> = serde_yaml::from_str(text).map_err(|error| vec![error.to_string()])?;
        let definition = read.unwrap_or_default();
        let is_target = |target: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            !target.is_empty() && target.bytes().all(inner)
        };
        let is_image =
            |image: &&String| image.split_once(':').is_some_and(|(target, tag)| is_target(target) && !tag.is_empty());
        let wrong_images = definition.images.iter().filter(|image| !is_image(image));
        let wrong_images = wrong_images.map(|image| {
            format!("`{image}` is not an image to build: write TARGET:TAG, a target of the Dockerfile and a version")
        });
        let wrong_programs = definition.programs.iter().filter(|target| !is_target(target));
        let wrong_programs = wrong_programs.map(|target| {
            format!("`{target}` is not a target of the Dockerfile; targets have lower-case letters, digits and `-`")
        });
        let wrong: Vec<String> = wrong_images.chain(wrong_programs).collect();
        if wrong.is_empty() { Ok(definition) } else { Err(wrong) }
    }
}

/// The full name of the image `TARGET:TAG`, in the engine and in manifests.
pub(in super::super) fn name_of(image: &str) -> String {
    format!("{}/{image}", names::BUILD_REPOSITORY)
}
