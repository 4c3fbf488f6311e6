//! The images that users and add-ons add: what of them makes an image another one, and the archives in which they go into
//! the inbox.

use std::collections::BTreeMap;

use super::context::Context;
use super::engine_archive::{save, saved};
use super::error::Error;
use super::inputs::Archive;
use super::listed::{pull_listed, save_listed};
use crate::printer::Phase;

/// The archive of add-ons' images; it sorts after the user's.
const ADDONS_ARCHIVE: &str = "80-addons.tar";
/// The archive of the images that lists name; it sorts after the others.
const LISTED_ARCHIVE: &str = "90-listed.tar";

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
    if !parts.is_empty() && context.settings.bake.packed_layers {
        parts.push("with packed layers".to_owned());
    }
    Ok(parts)
}
