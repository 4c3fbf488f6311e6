//! Differences between an existing container and the present settings. Warns; changes nothing.

use std::collections::BTreeMap;

use kubake_contract::labels;

use super::options::Options;
use crate::engine::Engine;
use crate::host::HostedNode;
use crate::printer::Printer;
use crate::settings::Settings;

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
    let missing =
        not_passed_on(options.host_context.marks(settings), node.labels.get(labels::HOST_CONTEXT).map(String::as_str));
    if !missing.is_empty() {
        let name = &settings.name;
        printer.warn(format_args!("`{name}` was created without these, or with others: {}", missing.join(", ")));
        printer.hint("they count for a new container; `kubake down` and `kubake up` begin anew with them");
    }
}

/// Parts of the host context that changed since the container got its label, or that it never had.
fn not_passed_on(asked: BTreeMap<String, String>, label: Option<&str>) -> Vec<String> {
    let made: BTreeMap<String, String> = label.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    asked.into_iter().filter(|(name, value)| made.get(name) != Some(value)).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
