//! Images of users and add-ons: their part of the inputs, and their archives in the inbox.

use std::collections::BTreeMap;

use kubake_contract::ImageReference;

use super::built::Built;
use super::context::Context;
use super::engine_archive::{Saved, own_repository, save, saved};
use super::error::Error;
use super::inputs::Archive;
use super::listed::{pull_listed, save_listed};
use crate::printer::Phase;

/// Archive of add-on images; sorts after those of the user.
const ADDONS_ARCHIVE: &str = "80-addons.tar";
/// Archive of listed images; sorts after all others.
const LISTED_ARCHIVE: &str = "90-listed.tar";

/// Archives for the inbox, each with its name there.
pub(super) struct UsersImages {
    pub(super) archives: Vec<(Archive, String)>,
    /// Final name of an image by its name in an archive.
    pub(super) names: BTreeMap<String, String>,
}

pub(super) fn users_images(context: &Context<'_>, phase: &Phase) -> Result<UsersImages, Error> {
    let named = |archive: &Archive| (archive.clone(), format!("10-{}", archive.name));
    let mut archives: Vec<_> = context.images.archives.iter().map(named).collect();
    let mut names = BTreeMap::new();
    if !context.addons.images.is_empty() {
        phase.message("saving the images of add-ons");
        let path = context.directory.path().join(ADDONS_ARCHIVE);
        let repository = own_repository();
        let own =
            |(number, built): (usize, &Built)| Saved { id: built.id.clone(), name: format!("{repository}:{number}") };
        let images: Vec<Saved> = context.addons.images.iter().enumerate().map(own).collect();
        save(context.engine, &path, &images)?;
        names.extend(
            images.into_iter().zip(&context.addons.images).map(|(image, built)| (image.name, full(&built.name))),
        );
        archives.push((saved(path, ADDONS_ARCHIVE)?, ADDONS_ARCHIVE.to_owned()));
    }
    if !context.images.listed.is_empty() {
        phase.message("saving the listed images");
        let listed = context.directory.path().join(LISTED_ARCHIVE);
        names.extend(save_listed(context.engine, &listed, &context.images.listed)?);
        archives.push((saved(listed, LISTED_ARCHIVE)?, LISTED_ARCHIVE.to_owned()));
    }
    Ok(UsersImages { archives, names })
}

/// The name under which kubelet looks for an image.
fn full(name: &str) -> String {
    ImageReference::parse(name).map_or_else(|| name.to_owned(), |reference| reference.canonical())
}

/// Inputs of user and add-on images: if one changes, the image is built anew.
pub(super) fn users_inputs(context: &Context<'_>, phase: &Phase) -> Result<Vec<String>, Error> {
    let mut parts: Vec<String> = context.images.archives.iter().map(|archive| archive.digest.clone()).collect();
    parts.extend(pull_listed(context.engine, &context.images.listed, phase)?);
    parts.extend(context.addons.images.iter().map(|built| format!("{} {}", built.name, built.id)));
    if !parts.is_empty() && context.settings.bake.packed_layers {
        parts.push("with packed layers".to_owned());
    }
    Ok(parts)
}
