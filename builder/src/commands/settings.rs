//! `kubake settings`: what is in effect, as a settings file that could be used as it is.

use std::fmt::Write as _;

use serde::Serialize;

use super::Error;
use super::preparation::resolve;
use crate::cli::{Global, SettingsArgs};
use crate::printer::Printer;
use crate::settings::{Settings, Value, reference};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    key: String,
    value: serde_json::Value,
    origin: String,
}

pub(super) fn run(args: &SettingsArgs, global: &Global, printer: &Printer) -> Result<(), Error> {
    let text = if args.reference {
        reference()
    } else {
        let settings = resolve(&args.settings, global)?;
        if printer.is_json() {
            return printer.json(&list(&settings)).map_err(Error::Output);
        }
        file(&settings)
    };
    printer.data(&text).map_err(Error::Output)
}

fn list(settings: &Settings) -> Vec<Shown> {
    let shown = |(key, value): (crate::settings::Key, Option<Value>)| Shown {
        key: key.row().dotted(),
        value: match value {
            None => serde_json::Value::Null,
            Some(Value::One(text)) => text.into(),
            Some(Value::Many(texts)) => texts.into(),
        },
        origin: settings.origin(key).to_string(),
    };
    settings.effective().into_iter().map(shown).collect()
}

/// The settings file that means the same, with the origin of each value as a comment.
fn file(settings: &Settings) -> String {
    let mut text = String::from("version: 1\n");
    let mut section = "";
    for (key, value) in settings.effective() {
        let row = key.row();
        let (indent, name) = match row.path {
            [first, name] => {
                if section != *first {
                    section = first;
                    let _ = writeln!(text, "{section}:");
                }
                ("  ", name)
            }
            [name, ..] => ("", name),
            [] => continue,
        };
        // Writing to a String cannot fail. JSON is YAML, and quotes where YAML would guess.
        let _ = match value {
            None => writeln!(text, "{indent}# {name}: {}", row.default),
            Some(Value::One(value)) => {
                writeln!(text, "{indent}{name}: {} # {}", serde_json::Value::from(value), settings.origin(key))
            }
            Some(Value::Many(values)) => {
                writeln!(text, "{indent}{name}: {} # {}", serde_json::Value::from(values), settings.origin(key))
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Sources;

    #[test]
    fn what_is_printed_means_the_same_when_it_is_read() {
        let env =
            [("KUBAKE_CERT_SANS", "a.example,b.example"), ("HOME", "/home/me"), ("KUBAKE_PUBLISH", "auto:53/udp")];
        let env: BTreeMap<String, String> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::resolve(&Sources { env, ..Sources::default() }).unwrap();
        let text = file(&settings);
        let again = Sources { file: Some((PathBuf::from("kubake.yaml"), text.clone())), ..Sources::default() };
        assert_eq!(Settings::resolve(&again).unwrap().effective(), settings.effective());
        insta::assert_snapshot!(text);
    }
}
