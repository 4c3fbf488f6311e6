//! `kubake settings`: the settings in effect, as a settings file that can be used unchanged.

use std::fmt::Write as _;

use serde::Serialize;

use super::Error;
use super::preparation::resolve;
use crate::cli::{Global, SettingsArgs};
use crate::printer::Printer;
use crate::settings::{Declaration, Settings, Value, reference};

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
    let shown = |(declaration, value): (&Declaration, Option<Value>)| Shown {
        key: declaration.key.path().to_owned(),
        value: match value {
            None => serde_json::Value::Null,
            Some(Value::One(text)) => without_login(&text).unwrap_or(text).into(),
            Some(Value::Many(texts)) => texts.into(),
        },
        origin: settings.origin(declaration.key).to_string(),
    };
    settings.effective().into_iter().map(shown).collect()
}

/// Prints the settings as a file with the same meaning, with the origin of each value as a comment.
fn file(settings: &Settings) -> String {
    let mut text = String::from("version: 1\n");
    let mut section = "";
    for (declaration, value) in settings.effective() {
        let key = declaration.key;
        let (own_section, name) = key.section_and_name();
        if let Some(own_section) = own_section.filter(|own| section != *own) {
            section = own_section;
            let _ = writeln!(text, "{section}:");
        }
        let indent = if own_section.is_some() { "  " } else { "" };
        // Writing to a String cannot fail. JSON is YAML, and its quotes keep YAML from guessing a type.
        let _ = match value {
            None => writeln!(text, "{indent}# {name}: {}", declaration.default),
            Some(Value::One(value)) if without_login(&value).is_some() => {
                let shown = serde_json::Value::from(without_login(&value));
                writeln!(text, "{indent}# {name}: {shown} # {}, whose login is not shown", settings.origin(key))
            }
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

/// The text without the logins of its URLs (a list, as in GOPROXY, may hold several); none if it holds no login.
fn without_login(text: &str) -> Option<String> {
    let mut parts = text.split("://");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let authority = part.find(['/', ',', '|', '?', '#']).map_or(part, |end| &part[..end]);
        let rest = authority.rfind('@').map(|at| format!("***{}", &part[at..]));
        shown.push_str("://");
        shown.push_str(rest.as_deref().unwrap_or(part));
    }
    (shown != text).then_some(shown)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::settings::Sources;

    #[test]
    fn logins_in_urls_are_not_shown() {
        let shown = |text: &str| without_login(text);
        assert_eq!(shown("https://me:hunter22@proxy/x@y,direct").as_deref(), Some("https://***@proxy/x@y,direct"));
        assert_eq!(shown("https://a@b,http://c:d@e|off").as_deref(), Some("https://***@b,http://***@e|off"));
        assert_eq!(shown("https://proxy.example/@v"), None);
        assert_eq!(shown("direct"), None);
        let env = [("GOPROXY".to_owned(), "https://me:hunter22@proxy".to_owned())].into();
        let settings = Settings::resolve(&Sources { env, ..Sources::default() }).unwrap();
        assert!(!file(&settings).contains("hunter22"), "{}", file(&settings));
        assert!(!serde_json::to_string(&list(&settings)).unwrap().contains("hunter22"));
    }

    #[test]
    fn what_is_printed_means_the_same_when_it_is_read() {
        let env =
            [("KUBAKE_CERT_SANS", "a.example,b.example"), ("HOME", "/home/me"), ("KUBAKE_PUBLISH", "auto:53/udp")];
        let env: BTreeMap<String, String> = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = Settings::resolve(&Sources { env, ..Sources::default() }).unwrap();
        let text = file(&settings);
        let again = Sources { file: Some((PathBuf::from("kubake.yaml"), text.clone())), ..Sources::default() };
        let values = |settings: &Settings| {
            let effective = settings.effective().into_iter();
            effective.map(|(declaration, value)| (declaration.key, value)).collect::<Vec<_>>()
        };
        assert_eq!(values(&Settings::resolve(&again).unwrap()), values(&settings));
        insta::assert_snapshot!(text);
    }
}
