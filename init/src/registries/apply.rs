//! Writes what a [`Plan`] wants, and takes back what an earlier boot wrote and this one does not want. What was written is
//! noted, so that files of others stay; logins are added to existing ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Plan;
use crate::files::{self, SharedFileError, read_shared, under};

/// What we wrote.
const NOTE: &str = "/etc/kubake/registries.json";
/// Where logins are looked for: kubelet's, for all pods, and that of Docker's command line.
const LOGINS: [&str; 2] = ["/var/lib/kubelet/config.json", "/root/.docker/config.json"];

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApplyError {
    /// A file cannot be read, written or removed.
    #[error(transparent)]
    File(#[from] SharedFileError),
    /// A file is not what it should be.
    #[error("{} is no JSON object of the form that it should have; repair or remove it", path.display())]
    Json { path: PathBuf },
    /// A file is there already.
    #[error("{} exists and is not ours; remove it, or do not ask for anything about this registry", path.display())]
    Foreign { path: PathBuf },
}

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Note {
    files: BTreeSet<String>,
    logins: BTreeSet<String>,
}

impl Note {
    fn of(plan: &Plan) -> Self {
        Self { files: plan.files.keys().cloned().collect(), logins: plan.logins.keys().cloned().collect() }
    }
}

/// Brings everything below `root` (`/` in a container) up to date. Does nothing where nothing is or was asked for.
///
/// # Errors
/// [`ApplyError`]; a later boot finishes what this one began.
pub(crate) fn apply_at(root: &Path, plan: &Plan) -> Result<(), ApplyError> {
    let note_path = under(root, NOTE);
    let before: Note = match read_shared(&note_path)? {
        Some(text) => serde_json::from_str(&text).map_err(|_| ApplyError::Json { path: note_path.clone() })?,
        None => Note::default(),
    };
    let wanted = Note::of(plan);
    if before == Note::default() && wanted == before {
        return Ok(());
    }
    for (name, content) in plan.files.iter().filter(|(name, _)| !before.files.contains(*name)) {
        let path = under(root, name);
        if read_shared(&path)?.is_some_and(|text| text != *content) {
            return Err(ApplyError::Foreign { path });
        }
    }
    // Noted before it is written, so that the next boot knows what may be there even if this one is killed.
    let both = Note { files: &before.files | &wanted.files, logins: &before.logins | &wanted.logins };
    write_note(&note_path, &both)?;
    for name in before.files.difference(&wanted.files) {
        let path = under(root, name);
        remove(&path)?;
        // Files of others may be in it, too.
        let _ = path.parent().map(fs::remove_dir);
    }
    for (name, content) in &plan.files {
        write(&under(root, name), content, 0o644)?;
    }
    for path in LOGINS {
        log_in(&under(root, path), &before.logins, &plan.logins)?;
    }
    if wanted == Note::default() { remove(&note_path) } else { write_note(&note_path, &wanted) }
}

fn write_note(path: &Path, note: &Note) -> Result<(), ApplyError> {
    write(path, &format!("{}\n", json!(note)), 0o644)
}

/// Puts logins into a file of Docker's form, in place of those that were put there before.
fn log_in(path: &Path, before: &BTreeSet<String>, logins: &BTreeMap<String, String>) -> Result<(), ApplyError> {
    let text = read_shared(path)?;
    let broken = || ApplyError::Json { path: path.to_owned() };
    let existing = match &text {
        // A file that is empty is as good as none to Docker, too.
        Some(text) if !text.trim().is_empty() => serde_json::from_str::<Value>(text).map_err(|_| broken())?,
        _ => json!({}),
    };
    let merged = merge(existing, before, logins).ok_or_else(broken)?;
    if merged == json!({}) {
        return if text.is_some() { remove(path) } else { Ok(()) };
    }
    let wanted = format!("{merged:#}\n");
    if text.as_ref() == Some(&wanted) { Ok(()) } else { write(path, &wanted, 0o600) }
}

/// None when what is there is not of the form.
fn merge(mut config: Value, before: &BTreeSet<String>, logins: &BTreeMap<String, String>) -> Option<Value> {
    let top = config.as_object_mut()?;
    let auths = top.entry("auths").or_insert_with(|| Value::Object(Map::new())).as_object_mut()?;
    auths.retain(|name, _| !before.contains(name));
    for (name, auth) in logins {
        auths.insert(name.clone(), json!({ "auth": auth }));
    }
    if auths.is_empty() {
        top.remove("auths");
    }
    Some(config)
}

fn remove(path: &Path) -> Result<(), ApplyError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(SharedFileError::Write { path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}

/// Replaces a file in one step; one that is mounted cannot be replaced and is written in its place.
fn write(path: &Path, content: &str, mode: u32) -> Result<(), ApplyError> {
    let replace = || {
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".kubake");
        let fresh = PathBuf::from(fresh);
        files::write(&fresh, content.as_bytes(), mode)?;
        match fs::rename(&fresh, path) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                fs::remove_file(&fresh)?;
                files::write(path, content.as_bytes(), mode)
            }
            renamed => renamed,
        }
    };
    replace().map_err(|source| SharedFileError::Write { path: path.to_owned(), source }.into())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn plan(files: &[(&str, &str)], logins: &[(&str, &str)]) -> Plan {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        Plan { files: map(files), logins: map(logins) }
    }

    fn files(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.push(format!("/{}", path.strip_prefix(root).unwrap().display()));
                }
            }
        }
        found.sort();
        found
    }

    const HOSTS: (&str, &str) = ("/etc/containerd/certs.d/a.example:5000/hosts.toml", "server\n");
    const CA: (&str, &str) = ("/etc/docker/certs.d/a.example:5000/ca.crt", "PEM\n");

    #[test]
    fn what_a_boot_wrote_the_next_one_takes_back() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        apply_at(root, &Plan::default()).unwrap();
        assert!(files(root).is_empty(), "nothing was asked for");
        for _ in 0..2 {
            apply_at(root, &plan(&[HOSTS, CA], &[("a.example:5000", "QTpC")])).unwrap();
            let expected =
                [HOSTS.0, CA.0, NOTE, "/root/.docker/config.json", "/var/lib/kubelet/config.json"].map(str::to_owned);
            assert_eq!(files(root), expected);
        }
        for path in LOGINS {
            let path = under(root, path);
            let config: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            assert_eq!(config, json!({ "auths": { "a.example:5000": { "auth": "QTpC" } } }));
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        apply_at(root, &plan(&[HOSTS], &[])).unwrap();
        assert_eq!(files(root), [HOSTS.0, NOTE]);
        assert!(!under(root, CA.0).parent().unwrap().exists());
        apply_at(root, &Plan::default()).unwrap();
        assert!(files(root).is_empty());
    }

    #[test]
    fn logins_of_others_stay() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let path = under(root, LOGINS[1]);
        let theirs = json!({ "auths": { "their.example": { "auth": "eDp5" } }, "credHelpers": { "x": "y" } });
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, theirs.to_string()).unwrap();
        let config = || serde_json::from_str::<Value>(&fs::read_to_string(&path).unwrap()).unwrap();
        apply_at(root, &plan(&[], &[("a.example", "QTpC")])).unwrap();
        assert_eq!(config()["auths"]["their.example"]["auth"], "eDp5");
        assert_eq!(config()["auths"]["a.example"]["auth"], "QTpC");
        assert_eq!(config()["credHelpers"]["x"], "y");
        apply_at(root, &plan(&[], &[("b.example", "QTpC")])).unwrap();
        assert_eq!(config()["auths"]["a.example"], Value::Null);
        apply_at(root, &Plan::default()).unwrap();
        assert_eq!(config(), theirs);
    }

    #[test]
    fn what_is_not_ours_is_told_and_left() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        crate::configuration::write(&under(root, HOSTS.0), "theirs").unwrap();
        let reported = apply_at(root, &plan(&[HOSTS], &[])).unwrap_err().to_string();
        assert!(reported.contains("hosts.toml exists and is not ours"), "{reported}");
        assert_eq!(files(root), [HOSTS.0]);
        for broken in ["nonsense", "[]", "{\"auths\": []}"] {
            crate::configuration::write(&under(root, LOGINS[1]), broken).unwrap();
            let reported = apply_at(root, &plan(&[], &[("a.example", "QTpC")])).unwrap_err().to_string();
            assert!(
                reported.contains(".docker/config.json is no JSON object") && !reported.contains("QTpC"),
                "{reported}"
            );
            assert_eq!(fs::read_to_string(under(root, LOGINS[1])).unwrap(), broken);
        }
    }
}
