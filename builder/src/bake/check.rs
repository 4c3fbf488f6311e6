//! The first step of a bake: finds and checks everything that the user adds, and reports all mistakes at once.

use kubake_contract::paths;

use super::context::{Context, look};
use super::error::Error;
use super::inbox::relative;
use super::inputs::{self, Content, Images, Packed, Platform, Watch};
use super::{addons, listed};
use crate::printer::Phase;

/// First, because a bad archive must not be found after an hour of compiling.
pub(super) fn check_inputs(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let engine = context.engine;
    let cancel = engine.runner().cancel();
    let watch = Watch { say: &|text| phase.message(text), is_over: &|| cancel.is_cancelled() };
    let facts = engine.facts();
    let platform = Platform::new(&facts.os, &facts.arch);
    let mut problems = Vec::new();

    let named = context.settings.bake.images_dir.is_some();
    let directory = context.settings.bake.images_dir.clone().unwrap_or_else(|| context.own.images_dir());
    context.images = inputs::images(&directory, named, &platform, &watch, &mut problems);

    let named = context.settings.bake.hooks_dir.is_some();
    let directory = context.settings.bake.hooks_dir.clone().unwrap_or_else(|| context.own.hooks_dir());
    let (inbox, kept) = (relative(paths::INBOX_HOOKS), relative(paths::HOOKS));
    context.hooks = inputs::hooks(&directory, named, &inbox, &kept, &mut problems);

    if let Some(checkout) = &context.checkout {
        context.addons = addons::load(&checkout.addons_dir(), &context.settings.bake.addons, &mut problems);
    }

    for listed in &context.images.listed {
        let image = look(engine, &listed.reference)?;
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
    // From here on as if they were the user's: they are inputs, and get into the inbox with them.
    context.hooks.packed.extend(context.addons.manifests());
    let Images { archives, listed } = &context.images;
    let counted = [(archives.len(), "archive"), (listed.len(), "listed image"), (hooks, "hook file")];
    let counted = counted.iter().filter(|(count, _)| *count > 0);
    let texts: Vec<String> =
        counted.map(|(count, what)| format!("{count} {what}{}", if *count == 1 { "" } else { "s" })).collect();
    Ok(if texts.is_empty() { "nothing beyond the cluster".to_owned() } else { texts.join(", ") })
}
