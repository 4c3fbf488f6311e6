//! Differences between an existing container and the present settings. Refuses or warns; changes nothing.

use std::collections::BTreeMap;

use kubake_contract::{ClusterSettings, ImageReference, labels};

use super::error::Error;
use super::options::Options;
use crate::engine::Engine;
use crate::host::HostedNode;
use crate::printer::Printer;
use crate::settings::{Key, Origin, Settings, Value};

/// The settings of a container that only count when it is created.
const OF_CREATION: [Key; 9] = [
    Key::API_PORT,
    Key::HTTP_PORT,
    Key::WEB_PORT,
    Key::DOCKER_PORT,
    Key::DOCKER_TLS_PORT,
    Key::EXTRA_PORTS,
    Key::NETWORK,
    Key::CERT_SANS,
    Key::CERT_VALIDITY,
];

/// These settings as text, for a label of the container.
pub(super) fn container_marks(settings: &Settings) -> BTreeMap<String, String> {
    let effective = settings.effective().into_iter().filter(|(declaration, _)| OF_CREATION.contains(&declaration.key));
    let text = |value: Option<Value>| match value {
        Some(Value::One(text)) => text,
        Some(Value::Many(texts)) => texts.join(","),
        None => String::new(),
    };
    effective.map(|(declaration, value)| (declaration.key.path().to_owned(), text(value))).collect()
}

/// Refuses what would be another cluster: another image, or settings with which the present one was not baked.
pub(super) fn refuse_if_another(engine: &Engine, settings: &Settings, node: &HostedNode) -> Result<(), Error> {
    let baked = node.labels.get(labels::SETTINGS).and_then(|text| serde_json::from_str::<ClusterSettings>(text).ok());
    let mut different = baked.map(|baked| settings.differences(&baked)).unwrap_or_default();
    let full = |name: &str| {
        let name = engine.name_as_given(name);
        ImageReference::parse(name).map_or_else(|| name.to_owned(), |reference| reference.canonical())
    };
    let is_named = *settings.origin(Key::IMAGE) != Origin::Default && ImageReference::parse(&node.image).is_some();
    if is_named && full(&settings.image) != full(&node.image) {
        different.push((Key::IMAGE.path().to_owned(), settings.image.clone(), node.image.clone()));
    }
    if different.is_empty() { Ok(()) } else { Err(Error::OtherCluster { name: settings.name.clone(), different }) }
}

/// Warns of each difference between an existing container and the present settings.
pub(super) fn warn_if_other(
    engine: &Engine,
    settings: &Settings,
    node: &HostedNode,
    options: Options<'_>,
    printer: &Printer,
) {
    warn_if_replaced(engine, settings, node, printer);
    warn_if_open(settings, node, options, printer);
    warn_if_not_passed_on(settings, node, options, printer);
}

fn warn_if_replaced(engine: &Engine, settings: &Settings, node: &HostedNode, printer: &Printer) {
    if let Ok(Some(image)) = engine.image(&settings.image) {
        if image.id != node.image_id {
            printer.warn(format_args!("`{}` does not run the current `{}`", settings.name, settings.image));
            printer.hint("`kubake down` and `kubake up` begin anew with it");
        }
    }
}

/// A token given after the container was created guards nothing, so a silent success would mislead the user.
fn warn_if_open(settings: &Settings, node: &HostedNode, options: Options<'_>, printer: &Printer) {
    if options.token.is_some() && !node.labels.contains_key(labels::GUARD) {
        printer.warn(format_args!("`{}` was created without a token: anyone can read its credentials", settings.name));
        printer.hint("`kubake down` and `kubake up` begin anew with it");
    }
}

/// An existing container gets no new host context, so a silent success would mislead the user.
fn warn_if_not_passed_on(settings: &Settings, node: &HostedNode, options: Options<'_>, printer: &Printer) {
    let label = node.labels.get(labels::HOST_CONTEXT).map(String::as_str);
    let mut missing = not_passed_on(options.host_context.marks(settings), label);
    missing.extend(created_otherwise(settings, label));
    if !missing.is_empty() {
        let name = &settings.name;
        printer.warn(format_args!("`{name}` was created without these, or with others: {}", missing.join(", ")));
        printer.hint("they count for a new container; `kubake down` and `kubake up` begin anew with them");
    }
}

/// Settings that were given, and with which the container was not created. Containers of earlier versions do not say.
fn created_otherwise(settings: &Settings, label: Option<&str>) -> Vec<String> {
    let made: BTreeMap<String, String> = label.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let is_given =
        |name: &str| OF_CREATION.iter().any(|key| key.path() == name && *settings.origin(*key) != Origin::Default);
    let asked = container_marks(settings).into_iter().filter(|(name, text)| is_given(name) && text != "auto");
    asked.filter(|(name, text)| made.get(name).is_some_and(|was| was != text)).map(|(name, _)| name).collect()
}

/// Parts of the host context that changed since the container got its label, or that it never had.
fn not_passed_on(asked: BTreeMap<String, String>, label: Option<&str>) -> Vec<String> {
    let made: BTreeMap<String, String> = label.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    asked.into_iter().filter(|(name, value)| made.get(name) != Some(value)).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::settings;

    #[test]
    fn settings_of_a_creation_are_compared_where_they_were_given() {
        let made = serde_json::to_string(&container_marks(&settings(&[("KUBAKE_NETWORK", "one")]))).unwrap();
        let differ = |variables: &[(&str, &str)]| created_otherwise(&settings(variables), Some(&made));
        assert_eq!(differ(&[]), [""; 0], "what is not asked for does not count");
        assert_eq!(differ(&[("KUBAKE_NETWORK", "one"), ("KUBAKE_API_PORT", "auto")]), [""; 0]);
        assert_eq!(
            differ(&[("KUBAKE_NETWORK", "two"), ("KUBAKE_API_PORT", "9443"), ("KUBAKE_CERT_SANS", "a.example")]),
            ["certSans", "hostPorts.api", "network"]
        );
        assert_eq!(created_otherwise(&settings(&[("KUBAKE_NETWORK", "two")]), Some("{}")), [""; 0]);
    }

    #[test]
    fn what_a_container_was_not_told_at_its_making_is_named() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let asked = map(&[("memory", "4g"), ("registriesFile", "0a"), ("cpus", "2")]);
        let label = serde_json::to_string(&map(&[("memory", "4g"), ("registriesFile", "0b")])).unwrap();
        assert_eq!(not_passed_on(asked.clone(), Some(&label)), ["cpus", "registriesFile"]);
        assert_eq!(not_passed_on(asked.clone(), None).len(), 3);
        assert_eq!(not_passed_on(asked.clone(), Some(&serde_json::to_string(&asked).unwrap())), [""; 0]);
        assert_eq!(
            not_passed_on(BTreeMap::new(), Some(&label)),
            [""; 0],
            "what the settings no longer name does not count"
        );
    }
}
