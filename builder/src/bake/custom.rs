//! A custom image: what a baked image becomes with the user's images and workloads, as a thin layer on it. Owns which image
//! may serve as base and what the layer is made from; no source is needed, and nothing is compiled, but for add-ons.

use std::collections::BTreeSet;
use std::time::Duration;

use kubake_init::contract::{BakeRequest, ClusterSettings, labels, paths, roles};
use kubake_init::hooks::Failure;

use super::{Baked, Context, Error, Options, RECIPE, Step, addons, container, doing, inputs};
use super::{check_inputs, directory, drop_untagged, hooks_inputs, is_there_already, look, request_file};
use super::{users_images, users_inputs};
use crate::checkout::Checkout;
use crate::engine::command::Pull;
use crate::engine::{Engine, Image};
use crate::printer::{Phase, Printer};
use crate::settings::{Settings, has_registry};

const STEPS: [Step; 4] = [
    Step::always("inputs", check_inputs),
    Step::for_addons("base image", super::base),
    Step::for_addons("add-ons", addons::build),
    Step::always("custom image", bake_custom),
];

/// How long pulling the image to start from may take; it has most of a gigabyte.
const PULL_TIMEOUT: Duration = Duration::from_secs(3600);

/// Bakes on top of the image `from`.
pub(super) fn bake(
    engine: &Engine,
    settings: &Settings,
    from: &str,
    options: Options,
    printer: &Printer,
) -> Result<Baked, Error> {
    let checkout = match settings.addons.as_slice() {
        [] => None,
        names => Some(Checkout::find().map_err(|source| Error::NoSource { addons: names.to_vec(), source })?),
    };
    let phase = printer.phase("baked image");
    let base = find(engine, from, &phase)?;
    let cluster = cluster_of(from, &base)?;
    let different = settings.differences(&cluster);
    if !different.is_empty() {
        return Err(Error::OtherSettings { image: from.to_owned(), different });
    }
    phase.done_with(format_args!("{from}, Kubernetes {}", cluster.kubernetes_version));
    let mut settings = settings.clone();
    settings.cluster = cluster;
    // By its id, because a name may lead elsewhere before this is done.
    let options = Options { from: Some(base.id), ..options };
    super::run(&STEPS, engine, &settings, options, (checkout, Checkout::here()), printer)
}

fn find(engine: &Engine, from: &str, phase: &Phase) -> Result<Image, Error> {
    if let Some(image) = look(engine, from)? {
        return Ok(image);
    }
    let absent = || Error::NotBaked { image: from.to_owned(), what: "does not exist" };
    if !has_registry(from) {
        return Err(absent());
    }
    phase.message(format_args!("pulling {from}"));
    let pull = Pull { image: from.to_owned(), timeout: Some(PULL_TIMEOUT) };
    engine.run(&pull).map_err(doing(format!("pull `{from}`")))?;
    look(engine, from)?.ok_or_else(absent)
}

/// What the baked cluster was made with.
fn cluster_of(from: &str, base: &Image) -> Result<ClusterSettings, Error> {
    let not_baked = |what| Error::NotBaked { image: from.to_owned(), what };
    if base.labels.get(labels::STAGE).map(String::as_str) != Some("baked") {
        return Err(not_baked("is no image that `kubake bake` made"));
    }
    let settings = base.labels.get(labels::SETTINGS).and_then(|text| serde_json::from_str(text).ok());
    settings.ok_or_else(|| not_baked("was baked by another version of kubake"))
}

fn bake_custom(context: &mut Context<'_>, phase: &Phase) -> Result<String, Error> {
    let (engine, settings) = (context.engine, context.settings);
    let from = context.options.from.clone().unwrap_or_default();
    let healthcheck = container::healthcheck(engine.facts());
    let mut parts = vec![RECIPE.to_owned(), from.clone(), healthcheck.clone().unwrap_or_default()];
    parts.extend(users_inputs(context, phase)?);
    parts.extend(hooks_inputs(context)?);
    context.inputs = inputs::digest(&parts.iter().map(String::as_str).collect::<Vec<_>>());
    let before = look(engine, &settings.image)?;
    if let Some(remark) = is_there_already(context, before.as_ref()) {
        return Ok(remark);
    }

    let images = users_images(context, phase)?;
    let request = BakeRequest {
        names: images.names,
        hook_timeout_seconds: settings.hook_timeout.as_secs(),
        reports_failed_hooks: settings.hook_failure == Failure::Report,
        keeps_packed_layers: settings.packed_layers,
        authorities: context.options.handed_on.authorities().to_vec(),
    };
    let mut files = vec![request_file(&request)];
    files.extend([paths::INBOX_IMAGES, paths::INBOX_HOOKS, paths::HOOKS].map(directory));
    files.extend(context.hooks.packed.iter().cloned());
    let settings_json = serde_json::to_string(&settings.cluster).unwrap_or_default();
    let had = look(engine, &from)?.and_then(|image| image.labels.get(labels::ADDONS).cloned()).unwrap_or_default();
    let addons = together(&had, &settings.addons);
    let mut labels = vec![
        (labels::STAGE, "baked"),
        (labels::FROM, &from),
        (labels::INPUTS, &context.inputs),
        (labels::SETTINGS, &settings_json),
    ];
    if !addons.is_empty() {
        labels.push((labels::ADDONS, &addons));
    }
    let id = container::bake(
        context,
        phase,
        &container::Recipe {
            from: &from,
            role: roles::BAKE_CUSTOM,
            files,
            archives: images.archives,
            trees: context.addons.trees.clone(),
            has_hooks: true,
            name: &settings.image,
            healthcheck: healthcheck.as_deref(),
            labels,
        },
    )?;
    if let Some(before) = before.filter(|before| before.id != id && before.id != from) {
        drop_untagged(engine, &before.id, &settings.image, &[]);
    }
    context.baked = Some(id);
    Ok(settings.image.clone())
}

/// The add-ons that an image has and those that it gets, as its label says them.
fn together(had: &str, added: &[String]) -> String {
    let all: BTreeSet<&str> =
        had.split(',').chain(added.iter().map(String::as_str)).filter(|name| !name.is_empty()).collect();
    all.into_iter().collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_the_addons_it_had() {
        assert_eq!(together("", &[]), "");
        assert_eq!(
            together("ingress,metrics-server", &["helm".to_owned(), "ingress".to_owned()]),
            "helm,ingress,metrics-server"
        );
    }

    fn image(stage: &str, settings: &str) -> Image {
        let labels = [(labels::STAGE, stage), (labels::SETTINGS, settings)];
        Image { labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(), ..Image::default() }
    }

    #[test]
    fn only_a_baked_image_is_taken_further() {
        let settings = serde_json::to_string(&ClusterSettings::default()).unwrap();
        assert_eq!(cluster_of("a", &image("baked", &settings)).unwrap(), ClusterSettings::default());
        for (stage, settings, told) in [
            ("appliance", settings.as_str(), "`a` is no image that `kubake bake` made"),
            ("baked", "{", "`a` was baked by another version of kubake"),
        ] {
            assert_eq!(cluster_of("a", &image(stage, settings)).unwrap_err().to_string(), told);
        }
    }
}
