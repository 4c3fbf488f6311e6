//! The file with several registries: YAML text to entries, or to everything that is wrong with it and where, and the way
//! back. Pure: `request` reads the files that entries name. No error contains a value that could be a secret.
//!
//! The text is read as a tree and not straight into a struct, because all mistakes are reported at once: a derived
//! deserializer stops at the first.

use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::host::{host, quoted};
use super::mirror::MirrorError;
use super::{Login, Mirror, Registry};

/// The keys of an entry.
const KEYS: &str = "host, user, password, passwordFile, mirrors, insecure, plainHttp, caFile";

/// A registry, and the files that belong to it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place in the file, such as `registries[0]`.
    pub(super) place: String,
    /// Without what is in files; with a login whose password is empty where a file has it.
    pub(super) registry: Registry,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) place: String,
    pub(super) what: String,
}

/// Reads the file's text. Relative paths in it lead from `base`; without one they are mistakes.
pub(super) fn parse(text: &str, base: Option<&Path>) -> Result<Vec<Entry>, Vec<Problem>> {
    let mut problems = Problems { found: Vec::new(), base };
    let entries = match serde_yaml::from_str::<Value>(text) {
        Err(error) => {
            let place = error
                .location()
                .map_or_else(String::new, |location| format!("line {}, column {}", location.line(), location.column()));
            // It quotes keys, but no values: there are no types that one could be wrong for.
            let message = error.to_string();
            let message = message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
            problems.add(&place, message);
            Vec::new()
        }
        Ok(Value::Mapping(top)) => problems.top(&top),
        Ok(_) => {
            problems.add("", "must begin with `registries:`");
            Vec::new()
        }
    };
    if problems.found.is_empty() { Ok(entries) } else { Err(problems.found) }
}

/// The text of a file about these registries, with their passwords in it. Their CAs are not: `ca_file` names the file for
/// those of the registry with this index.
#[must_use]
pub fn text(registries: &[Registry], ca_file: impl Fn(usize) -> String) -> String {
    let mut list = Vec::new();
    for (index, registry) in registries.iter().enumerate() {
        let mut entry = Mapping::new();
        let mut add = |key: &str, value: Value| entry.insert(key.into(), value);
        add("host", registry.host.clone().into());
        if let Some(Login { user, password }) = &registry.login {
            add("user", user.clone().into());
            add("password", password.clone().into());
        }
        if !registry.mirrors.is_empty() {
            add("mirrors", registry.mirrors.iter().map(Mirror::to_string).collect());
        }
        for (key, is_set) in [("insecure", registry.is_insecure), ("plainHttp", registry.is_plain_http)] {
            if is_set {
                add(key, true.into());
            }
        }
        if !registry.authorities.is_empty() {
            add("caFile", ca_file(index).into());
        }
        list.push(Value::Mapping(entry));
    }
    let top = Mapping::from_iter([("registries".into(), Value::Sequence(list))]);
    // Texts, switches and lists of them: there is nothing that YAML could not say.
    serde_yaml::to_string(&top).unwrap_or_default()
}

struct Problems<'a> {
    found: Vec<Problem>,
    base: Option<&'a Path>,
}

impl Problems<'_> {
    fn add(&mut self, place: &str, what: impl Into<String>) {
        self.found.push(Problem { place: place.to_owned(), what: what.into() });
    }

    fn top(&mut self, top: &Mapping) -> Vec<Entry> {
        for key in top.keys().filter(|key| key.as_str() != Some("registries")) {
            self.add(&key_text(key), "is unknown; the only key is `registries`");
        }
        let list = match top.get("registries") {
            Some(Value::Sequence(list)) => list.as_slice(),
            // A list whose entries are commented out.
            Some(Value::Null) => &[],
            Some(_) => {
                self.add("registries", "must be a list");
                &[]
            }
            None => {
                self.add("registries", "is missing");
                &[]
            }
        };
        let mut entries: Vec<Entry> = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let place = format!("registries[{index}]");
            let Value::Mapping(mapping) = value else {
                self.add(&place, format!("must hold `key: value` lines, of {KEYS}"));
                continue;
            };
            let entry = self.entry(place, mapping);
            let host = &entry.registry.host;
            if let Some(other) = entries.iter().find(|other| !host.is_empty() && other.registry.host == *host) {
                let what = format!("`{host}` is the same registry as {}; put them together", other.place);
                self.add(&format!("{}.host", entry.place), what);
            }
            entries.push(entry);
        }
        entries
    }

    fn entry(&mut self, place: String, mapping: &Mapping) -> Entry {
        let mut entry = Entry::default();
        let (mut user, mut password) = (None, None);
        for (key, value) in mapping {
            let name = key_text(key);
            let at = format!("{place}.{name}");
            match name.as_str() {
                "host" => match self.text(&at, value).map(|text| (host(&text), text)) {
                    Some((Some(host), _)) => entry.registry.host = host,
                    Some((None, text)) => self.add(
                        &at,
                        format!(
                            "{} cannot be the registry of an image; give a host with a dot or a port, such as \
                             registry.example:5000",
                            quoted(&text)
                        ),
                    ),
                    None => {}
                },
                "user" => user = self.text(&at, value),
                "password" => password = self.text(&at, value),
                "passwordFile" => entry.password_file = self.path(&at, value),
                "caFile" => entry.ca_file = self.path(&at, value),
                "mirrors" => entry.registry.mirrors = self.mirrors(&at, value),
                "insecure" => entry.registry.is_insecure = self.switch(&at, value),
                "plainHttp" => entry.registry.is_plain_http = self.switch(&at, value),
                _ => self.add(&at, format!("is unknown; there are {KEYS}")),
            }
        }
        if !mapping.contains_key("host") {
            self.add(&format!("{place}.host"), "is missing");
        }
        let has = |key: &str| mapping.get(key).is_some_and(|value| !value.is_null());
        match (has("user"), has("password"), has("passwordFile")) {
            (_, true, true) => self.add(&place, "has both password and passwordFile; give one of them"),
            (true, false, false) => self.add(&place, "has a user and neither password nor passwordFile; give one"),
            (false, true, _) | (false, _, true) => self.add(&place, "has a password and no user; give both or none"),
            _ => {}
        }
        if let Some(user) = user {
            if user.contains(':') {
                self.add(&format!("{place}.user"), "must not have a colon in it (RFC 7617)");
            }
            entry.registry.login = Some(Login { user, password: password.unwrap_or_default() });
        }
        entry.place = place;
        entry
    }

    /// A text that is not empty.
    fn text(&mut self, place: &str, value: &Value) -> Option<String> {
        match value {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => {
                self.add(place, "must be a text; put it in quotes");
                None
            }
            _ => {
                self.add(place, "must be a text that is not empty");
                None
            }
        }
    }

    fn path(&mut self, place: &str, value: &Value) -> Option<PathBuf> {
        let path = PathBuf::from(self.text(place, value)?);
        match self.base {
            Some(base) => Some(base.join(path)),
            None if path.is_absolute() => Some(path),
            None => {
                self.add(place, "must be an absolute path in the container");
                None
            }
        }
    }

    fn switch(&mut self, place: &str, value: &Value) -> bool {
        value.as_bool().unwrap_or_else(|| {
            self.add(place, "must be true or false");
            false
        })
    }

    fn mirrors(&mut self, place: &str, value: &Value) -> Vec<Mirror> {
        let Value::Sequence(list) = value else {
            self.add(place, "must be a list of URLs");
            return Vec::new();
        };
        let mut mirrors: Vec<Mirror> = Vec::new();
        for (index, value) in list.iter().enumerate() {
            let at = format!("{place}[{index}]");
            match value.as_str().map_or(Err(MirrorError::Url), Mirror::parse) {
                // containerd would read none of a file that has one twice.
                Ok(mirror) if mirrors.contains(&mirror) => self.add(&at, "is there already; leave it out"),
                Ok(mirror) => mirrors.push(mirror),
                Err(error) => self.add(&at, error.to_string()),
            }
        }
        mirrors
    }
}

/// A key as messages show it.
fn key_text(key: &Value) -> String {
    key.as_str().map_or_else(|| "a key that is no text".to_owned(), |text| text.escape_default().to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = parse(text, None).unwrap_err();
        problems.into_iter().map(|problem| format!("{}: {}", problem.place, problem.what)).collect()
    }

    #[test]
    fn everything_that_can_be_said_is_understood() {
        let text = "
registries:
- host: https://registry.example:5000/
  user: ci
  passwordFile: /run/secrets/password
  caFile: /run/secrets/ca.crt
- host: docker.io
  user: me
  password: 's3cret'
  mirrors: [https://mirror.example/, http://other:5000, https://harbor.example/v2/proxy-cache]
  insecure: true
- {host: plain.example, plainHttp: true}
";
        let entries = parse(text, None).unwrap();
        let [one, hub, plain] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(one.registry.host, "registry.example:5000");
        assert_eq!(one.password_file.as_deref(), Some("/run/secrets/password".as_ref()));
        assert_eq!(one.ca_file.as_deref(), Some("/run/secrets/ca.crt".as_ref()));
        assert_eq!(hub.registry.login, Some(Login { user: "me".to_owned(), password: "s3cret".to_owned() }));
        let mirrors: Vec<String> = hub.registry.mirrors.iter().map(Mirror::to_string).collect();
        assert_eq!(mirrors, ["https://mirror.example", "http://other:5000", "https://harbor.example/v2/proxy-cache"]);
        assert!(hub.registry.is_insecure && !hub.registry.is_plain_http);
        assert!(plain.registry.is_plain_http && plain.registry.login.is_none());
        assert_eq!(parse("registries:\n", None).unwrap(), [], "all of it commented out");
    }

    #[test]
    fn the_example_in_the_readme_is_one() {
        let readme = include_str!("../../../../builder/README.md");
        let (_, example) = readme.split_once("```yaml\nregistries:").expect("an example");
        let (example, _) = example.split_once("```").expect("its end");
        let entries = parse(&format!("registries:{example}"), None).unwrap();
        let hosts: Vec<&str> = entries.iter().map(|entry| entry.registry.host.as_str()).collect();
        assert_eq!(hosts, ["registry.example:5000", "docker.io", "test.example:5000"]);
        let mirrors = &entries[1].registry.mirrors;
        assert!(entries[0].ca_file.is_some() && !mirrors[0].has_path() && mirrors[1].has_path());
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let text = "
registry: []
registries:
- {host: registry, user: ci, password: 12345}
- {host: a.example, user: 'a:b', password: x, passwordFile: relative, mirror: []}
- {user: u, insecure: maybe, mirrors: ['https://m.example/path', m.example, 'https://m.example', 'https://m.example/v2/', 1]}
- text
- {host: 'https://a.example', password: hunter22}
- {host: b.example, mirrors: https://m.example, caFile: ca.crt, plainHttp: 1}
";
        let reported = problems(text);
        let expected = [
            "registry: is unknown",
            "registries[0].password: must be a text; put it in quotes",
            "registries[0].host: `registry` cannot be the registry of an image",
            "registries[1].passwordFile: must be an absolute path",
            "registries[1].mirror: is unknown; there are host, user,",
            "registries[1]: has both password and passwordFile",
            "registries[1].user: must not have a colon",
            "registries[2].insecure: must be true or false",
            "registries[2].mirrors[0]: has a path without /v2 in it; write the whole path",
            "registries[2].mirrors[1]: must be a URL without credentials",
            "registries[2].mirrors[3]: is there already",
            "registries[2].mirrors[4]: must be a URL without credentials",
            "registries[2].host: is missing",
            "registries[2]: has a user and neither",
            "registries[3]: must hold `key: value` lines",
            "registries[4]: has a password and no user",
            "registries[4].host: `a.example` is the same registry as registries[1]",
            "registries[5].mirrors: must be a list",
            "registries[5].caFile: must be an absolute path",
            "registries[5].plainHttp: must be true or false",
        ];
        for part in expected {
            assert!(reported.iter().any(|problem| problem.starts_with(part)), "{part} is not among {reported:#?}");
        }
        assert_eq!(reported.len(), expected.len(), "{reported:#?}");
        let reported = reported.join("\n");
        assert!(!reported.contains("hunter22") && !reported.contains("12345"), "{reported}");
    }

    #[test]
    fn relative_paths_lead_from_where_the_file_is_or_are_a_mistake() {
        let text = "registries:\n- {host: a.example, user: u, passwordFile: ../secret, caFile: /etc/ca.crt}\n";
        let entries = parse(text, Some(Path::new("some/dir"))).unwrap();
        assert_eq!(entries[0].password_file.as_deref(), Some("some/dir/../secret".as_ref()));
        assert_eq!(entries[0].ca_file.as_deref(), Some("/etc/ca.crt".as_ref()));
        assert_eq!(problems(text), ["registries[0].passwordFile: must be an absolute path in the container"]);
    }

    proptest! {
        #[test]
        fn what_is_written_means_the_same_when_it_is_read(user in "(?s)[^:]{1,12}", password in "(?s).{1,20}", flags in 0..4) {
            let registry = Registry {
                host: "registry.example:5000".to_owned(),
                login: Some(Login { user, password }),
                mirrors: ["https://mirror.example", "http://other:5000", "https://harbor.example/v2/proxy-cache"].map(|url| Mirror::parse(url).unwrap()).to_vec(),
                is_insecure: flags & 1 != 0,
                is_plain_http: flags & 2 != 0,
                authorities: vec!["PEM".to_owned()],
            };
            let plain = Registry { host: "docker.io".to_owned(), ..Registry::default() };
            let text = text(&[plain.clone(), registry.clone()], |index| format!("/x/ca-{index}.crt"));
            let entries = parse(&text, None).unwrap();
            prop_assert_eq!(&entries[0].registry, &plain);
            prop_assert_eq!(entries[1].ca_file.as_deref(), Some(Path::new("/x/ca-1.crt")));
            prop_assert_eq!(&entries[1].registry, &Registry { authorities: Vec::new(), ..registry });
        }
    }

    #[test]
    fn what_is_no_yaml_is_told_by_its_place_and_not_by_its_text() {
        let reported = problems("registries:\n- host: a.example\n  password: \"hunter22\n").join("\n");
        assert!(reported.starts_with("line ") && !reported.contains("hunter22"), "{reported}");
        let reported = problems("registries:\n- host: a.example\n  host: b.example\n").join("\n");
        assert!(reported.contains("duplicate entry"), "{reported}");
        assert_eq!(problems("just a text"), [": must begin with `registries:`"]);
        assert_eq!(problems("{}"), ["registries: is missing"]);
    }
}
