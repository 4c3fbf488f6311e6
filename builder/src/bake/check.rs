//! The first step of a bake: finds and checks everything that the user adds, and reports all mistakes at once.

use kubake_contract::paths;

use super::context::{Context, find_image};
use super::error::Error;
use super::inbox::relative;
use super::inputs::{self, Content, Images, Monitor, Packed, Platform};
use super::{addons, listed};
use crate::printer::Phase;

/// Runs first: a bad archive must be found before an hour of compiling.
pub(super) fn check_inputs(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let cancel = engine.runner().cancel();
    let monitor = Monitor { report: &|text| phase.message(text), is_cancelled: &|| cancel.is_cancelled() };
    let facts = engine.facts();
    let platform = Platform::new(&facts.os, &facts.arch);
    let mut problems = Vec::new();

    let named = context.settings.bake.images_dir.is_some();
    let directory = context.settings.bake.images_dir.clone().unwrap_or_else(|| context.user_files.images_dir());
    context.images = inputs::read_images(&directory, named, &platform, &monitor, &mut problems);

    let named = context.settings.bake.hooks_dir.is_some();
    let directory = context.settings.bake.hooks_dir.clone().unwrap_or_else(|| context.user_files.hooks_dir());
    let (inbox, kept) = (relative(paths::INBOX_HOOKS), relative(paths::HOOKS));
    context.hooks = inputs::read_hooks(&directory, named, &inbox, &kept, &mut problems);

    if let Some(checkout) = &context.checkout {
        context.addons = addons::load(&checkout.addons_dir(), &context.settings.bake.addons, &mut problems);
    }

    for listed in &context.images.listed {
        let image = find_image(engine, &listed.reference)?;
        problems.extend(listed::unusable(listed, image.as_ref(), &platform));
    }
    if cancel.is_cancelled() {
        return Err(Error::Interrupted);
    }
    if !problems.is_empty() {
        return Err(inputs::Error::Problems(problems).into());
    }

    let is_file = |item: &&Packed| matches!(item.content, Content::File(_));
    let hooks = context.hooks.packed.iter().chain(&context.hooks.host).filter(is_file).count();
    // Manifests of add-ons are inputs like those of the user, and share their inbox.
    context.hooks.packed.extend(context.addons.manifests());
    let Images { archives, listed } = &context.images;
    let counted = [(archives.len(), "archive"), (listed.len(), "listed image"), (hooks, "hook file")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> =
        counted.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" })).collect();
    Ok(if texts.is_empty() { "nothing beyond the cluster".to_owned() } else { texts.join(", ") })
}
