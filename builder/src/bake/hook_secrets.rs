//! Secrets for the hooks in the build container. Owns the syntax of `--hook-secret`, the sources of the values and their
//! transport. Never shows a value.
//!
//! kubake reads a value into memory and pipes it to the engine, as a file of the build container, just before that starts.
//! `kubake-init` removes the file first of all; from then on the value is only in the environment of hooks. A value is on
//! no command line and in no variable of the container, which a commit would keep. It is in no layer either: a commit keeps
//! the files that exist at the end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kubake_contract::{hook_env, paths};
use thiserror::Error;

use crate::private_tar::PrivateTar;

/// Limit of a value in bytes. Linux limits a variable to 128 KiB, its name included.
const LARGEST: usize = 100 << 10;

/// All mistakes in the secrets of the command line.
#[derive(Debug, Error)]
#[error("{} with `--hook-secret`:{}", count(.0.len()), .0.iter().map(|problem| format!("\n  {problem}")).collect::<String>())]
pub(crate) struct Error(Vec<String>);

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

/// Names and values. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct HookSecrets(BTreeMap<String, String>);

impl fmt::Debug for HookSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

impl HookSecrets {
    /// Loads each argument: `NAME=FILE`, or `NAME` for the variable of that name.
    ///
    /// # Errors
    /// All mistakes in the arguments.
    pub(crate) fn load(arguments: &[String], variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        let mut secrets = BTreeMap::new();
        let mut problems = Vec::new();
        for item in arguments {
            let (name, file) = item.split_once('=').map_or((item.as_str(), None), |(name, file)| (name, Some(file)));
            let value = check_name(name).and_then(|()| match file {
                Some(file) => from_file(name, Path::new(file)),
                None => from_variable(name, variable(name)),
            });
            match value {
                Ok(value) => {
                    if secrets.insert(name.to_owned(), value).is_some() {
                        problems.push(format!("`{name}` is given twice; give it once"));
                    }
                }
                Err(problem) => problems.push(problem),
            }
        }
        if problems.is_empty() { Ok(Self(secrets)) } else { Err(Error(problems)) }
    }

    /// The names, which are not secret.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Packs secrets and proxy variables into a tar stream, at the paths that `kubake-init` reads, readable by root only.
///
/// # Errors
/// If a path or a value cannot be written into the archive.
pub(super) fn pack(secrets: &HookSecrets, proxies: &[(String, String)]) -> io::Result<Vec<u8>> {
    let proxies: BTreeMap<String, String> = proxies.iter().cloned().collect();
    let mut archive = PrivateTar::default();
    for (path, values) in [(paths::INBOX_SECRETS, &secrets.0), (paths::INBOX_PROXIES, &proxies)] {
        // JSON is valid YAML.
        archive.file(Path::new(path), &serde_json::to_vec(values).map_err(io::Error::other)?)?;
    }
    archive.finish()
}

fn check_name(name: &str) -> Result<(), String> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name = name.bytes().all(word) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if !is_name {
        // Does not show the text: a user may have typed the value in place of the name.
        return Err(
            "a name is not a valid variable name; write NAME=FILE, or NAME for the value of a variable".to_owned()
        );
    }
    if hook_env::RESERVED.contains(&name) {
        return Err(format!("`{name}` is reserved for hooks; choose another name"));
    }
    Ok(())
}

fn from_variable(name: &str, value: Option<OsString>) -> Result<String, String> {
    let value = value.ok_or_else(|| format!("the variable `{name}` is not set; set it, or write {name}=FILE"))?;
    let value =
        value.into_string().map_err(|_| format!("the variable `{name}` is not valid UTF-8; write {name}=FILE"))?;
    check_value(value, &format!("the variable `{name}`"))
}

fn from_file(name: &str, path: &Path) -> Result<String, String> {
    let shown = format!("`{}` with the value of `{name}`", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST as u64 + 2).read_to_end(&mut bytes))
        .map_err(|error| format!("{shown} cannot be read: {error}; name a readable file"))?;
    let mut value = String::from_utf8(bytes)
        .map_err(|_| format!("{shown} is not valid UTF-8; encode it, for example with base64"))?;
    // As in `$(cat FILE)`: editors end files with a line break.
    while value.ends_with(['\n', '\r']) {
        value.pop();
    }
    check_value(value, &shown)
}

fn check_value(value: String, shown: &str) -> Result<String, String> {
    if value.is_empty() {
        Err(format!("{shown} is empty; leave it out or give it a value"))
    } else if value.contains('\0') {
        Err(format!("{shown} holds a zero byte, which no variable can hold; encode it, for example with base64"))
    } else if value.len() > LARGEST {
        Err(format!("{shown} has more than {LARGEST} bytes, which no variable can hold; shorten it"))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(typed: &[&str]) -> Result<HookSecrets, Error> {
        let typed: Vec<String> = typed.iter().map(|text| (*text).to_owned()).collect();
        HookSecrets::load(&typed, |name| (name == "FROM_ENV").then(|| OsString::from("hunter2")))
    }

    #[test]
    fn values_come_from_files_and_variables_and_are_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key");
        std::fs::write(&file, "-----BEGIN\nabc\n-----END\r\n").unwrap();
        let secrets = load(&["FROM_ENV", &format!("KEY={}", file.display())]).unwrap();
        assert_eq!(format!("{secrets:?}"), r#"{"FROM_ENV", "KEY"}"#);

        let packed = super::pack(&secrets, &[]).unwrap();
        let mut archive = tar::Archive::new(packed.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(format!("/{}", entry.path().unwrap().display()), paths::INBOX_SECRETS);
        assert_eq!(entry.header().mode().unwrap(), 0o600);
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        // kubake-init reads the same values.
        let path = directory.path().join("secrets.yaml");
        std::fs::write(&path, text.clone()).unwrap();
        assert_eq!(format!("{:?}", kubake_contract::hooks::Secrets::take(&path).unwrap()), format!("{secrets:?}"));
        let values: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        assert_eq!((values["FROM_ENV"].as_str(), values["KEY"].as_str()), ("hunter2", "-----BEGIN\nabc\n-----END"));
    }

    #[test]
    fn all_mistakes_are_reported_without_any_value() {
        let directory = tempfile::tempdir().unwrap();
        let empty = directory.path().join("empty");
        std::fs::write(&empty, "\n").unwrap();
        let typed = [
            "NOT_SET",
            "A=/nonexistent",
            &format!("B={}", empty.display()),
            "hunter2!",
            "PATH",
            "FROM_ENV",
            "FROM_ENV",
        ];
        let text = load(&typed).unwrap_err().to_string();
        assert!(text.starts_with("6 problems with `--hook-secret`:\n"), "{text}");
        for wanted in [
            "variable `NOT_SET` is not set",
            "`/nonexistent` with the value of `A`",
            "empty; leave",
            "`PATH` is reserved",
            "twice",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}
