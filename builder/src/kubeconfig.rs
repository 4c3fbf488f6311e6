//! The user's kubeconfig: puts a cluster's context in and takes exactly that out again. Owns the file's lock and its
//! atomic replacement. Never touches an entry that `kubake` did not make, and works on the YAML tree, so that keys it
//! does not know stay; a file that cannot be understood stays as it is.
//!
//! Entries of ours carry an extension named [`MARK`] (kubeconfig's own way for tools to leave notes), which also
//! remembers which context was current before, so that removing the cluster gives that back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_yaml::{Mapping, Value};
use thiserror::Error;

use crate::advice::Advice;

/// Name of the extension that marks an entry as ours.
pub const MARK: &str = "kubake.io";
/// How long to wait for another program (kubectl takes the same lock) to finish writing.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a kubeconfig could not be changed; the file is as it was.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read.
    #[error("read the kubeconfig `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("write the kubeconfig `{}`", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another program has had it locked for long.
    #[error("lock the kubeconfig: `{}` exists; another program writes it, or died while it did", .path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// It is no YAML.
    #[error("understand the kubeconfig `{}`", .path.display())]
    Yaml {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_yaml::Error,
    },
    /// It is YAML, but no kubeconfig.
    #[error("understand the kubeconfig `{}`: {what}", .path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What the cluster served is no kubeconfig.
    #[error("understand the kubeconfig that the cluster serves: {0}")]
    Served(String),
    /// An entry of that name is somebody else's.
    #[error("`{}` already has a {kind} named `{name}` that kubake did not make", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { path } => Some(format!("if no program is writing it, remove `{}`", path.display())),
            Self::Foreign { .. } => {
                Some("choose another name with `--name`, or another file with `--kubeconfig`".to_owned())
            }
            Self::Yaml { path, .. } | Self::Shape { path, .. } => {
                Some(format!("mend `{}`, or use another file with `--kubeconfig`", path.display()))
            }
            _ => None,
        }
    }
}

/// What can go wrong with a tree, before a file is known.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    Shape(String),
    Foreign { kind: &'static str, name: String },
}

impl Wrong {
    fn at(self, path: &Path) -> Error {
        match self {
            Self::Shape(what) => Error::Shape { path: path.to_owned(), what },
            Self::Foreign { kind, name } => Error::Foreign { path: path.to_owned(), kind, name },
        }
    }
}

/// A cluster's entries as they go into the user's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    name: String,
    cluster: Value,
    user: Value,
}

impl Entries {
    /// Takes cluster and user out of a served kubeconfig and names them `name`; `server`, if given, is the address
    /// under which this machine reaches the API server.
    ///
    /// # Errors
    /// [`Error::Served`] when it has not exactly what is expected.
    pub fn from_served(text: &str, name: &str, server: Option<&str>) -> Result<Self, Error> {
        let tree: Value = serde_yaml::from_str(text).map_err(|error| Error::Served(error.to_string()))?;
        let take = |list: &str, inner: &str| {
            tree.get(list)
                .and_then(Value::as_sequence)
                .and_then(|entries| entries.first())
                .and_then(|entry| entry.get(inner))
                .filter(|value| value.is_mapping())
                .cloned()
                .ok_or_else(|| Error::Served(format!("it has no {inner}")))
        };
        let mut cluster = take("clusters", "cluster")?;
        let user = take("users", "user")?;
        if let (Some(server), Some(mapping)) = (server, cluster.as_mapping_mut()) {
            mapping.insert("server".into(), server.into());
        }
        Ok(Self { name: name.to_owned(), cluster, user })
    }

    /// A kubeconfig that holds only this cluster.
    ///
    /// # Errors
    /// [`Error::Served`] when the entries cannot be written as YAML.
    pub fn standalone(&self) -> Result<String, Error> {
        let mut tree = Value::Null;
        merge(&mut tree, self, true).map_err(|wrong| Error::Served(format!("{wrong:?}")))?;
        serde_yaml::to_string(&tree).map_err(|error| Error::Served(error.to_string()))
    }
}

/// Whether [`add`] could put a cluster of this name into the file as it is now. Writes nothing.
///
/// # Errors
/// What `add` would say.
pub fn check(path: &Path, name: &str) -> Result<(), Error> {
    let path = &resolve(path);
    let empty = || Value::Mapping(Mapping::new());
    let entries = Entries { name: name.to_owned(), cluster: empty(), user: empty() };
    merge(&mut load(path)?, &entries, false).map_err(|wrong| wrong.at(path))
}

/// Puts the cluster's entries into the file, which is made if it is missing.
///
/// # Errors
/// Any; the file is then as it was.
pub fn add(path: &Path, entries: &Entries, set_context: bool) -> Result<(), Error> {
    change(path, |tree| merge(tree, entries, set_context).map(|()| true)).map(drop)
}

/// Takes the entries of the cluster `name` out of the file; false when there were none.
///
/// # Errors
/// Any; the file is then as it was.
pub fn remove(path: &Path, name: &str) -> Result<bool, Error> {
    if !path.exists() {
        return Ok(false);
    }
    change(path, |tree| strip(tree, name))
}

const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("users", "user"), ("contexts", "context")];

fn merge(tree: &mut Value, entries: &Entries, set_context: bool) -> Result<(), Wrong> {
    if tree.is_null() {
        let mut fresh = Mapping::new();
        fresh.insert("apiVersion".into(), "v1".into());
        fresh.insert("kind".into(), "Config".into());
        *tree = Value::Mapping(fresh);
    }
    let name = entries.name.as_str();
    let root = mapping(tree)?;
    for (list, kind) in LISTS {
        if let Some(entry) = find(root, list, name)? {
            if mark(entry, kind).is_none() {
                return Err(Wrong::Foreign { kind, name: name.to_owned() });
            }
        }
    }
    let current = root.get("current-context").and_then(Value::as_str).unwrap_or_default().to_owned();
    // A second `up` must not forget what the first one found.
    let previous = find(root, "contexts", name)?
        .and_then(|entry| mark(entry, "context"))
        .and_then(|mark| mark.get("previousContext"))
        .and_then(Value::as_str)
        .filter(|_| current == name)
        .map_or_else(|| current.clone(), str::to_owned);

    let mut context = Mapping::new();
    context.insert("cluster".into(), name.into());
    context.insert("user".into(), name.into());
    let makes_current = set_context || current.is_empty();
    let note = (makes_current && !previous.is_empty() && previous != name).then_some(previous.as_str());
    put(root, "clusters", "cluster", name, marked(entries.cluster.clone(), None))?;
    put(root, "users", "user", name, marked(entries.user.clone(), None))?;
    put(root, "contexts", "context", name, marked(Value::Mapping(context), note))?;
    if makes_current {
        root.insert("current-context".into(), name.into());
    }
    Ok(())
}

fn strip(tree: &mut Value, name: &str) -> Result<bool, Wrong> {
    if tree.is_null() {
        return Ok(false);
    }
    let root = mapping(tree)?;
    let previous = find(root, "contexts", name)?
        .and_then(|entry| mark(entry, "context"))
        .map(|mark| mark.get("previousContext").and_then(Value::as_str).map(str::to_owned));
    let mut changed = false;
    for (list, kind) in LISTS {
        let Some(Value::Sequence(entries)) = root.get_mut(list) else { continue };
        let before = entries.len();
        entries.retain(|entry| !(entry_name(entry) == Some(name) && mark(entry, kind).is_some()));
        changed |= entries.len() != before;
    }
    if let Some(previous) = previous {
        if root.get("current-context").and_then(Value::as_str) == Some(name) {
            // The context that was current may have gone meanwhile.
            let back = match previous {
                Some(previous) if find(root, "contexts", &previous)?.is_some() => previous,
                _ => String::new(),
            };
            root.insert("current-context".into(), back.into());
        }
    }
    Ok(changed)
}

fn mapping(tree: &mut Value) -> Result<&mut Mapping, Wrong> {
    tree.as_mapping_mut().ok_or_else(|| Wrong::Shape("it is not a mapping".to_owned()))
}

fn entry_name(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

fn find<'a>(root: &'a Mapping, list: &str, name: &str) -> Result<Option<&'a Value>, Wrong> {
    match root.get(list) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Sequence(entries)) => Ok(entries.iter().find(|entry| entry_name(entry) == Some(name))),
        Some(_) => Err(Wrong::Shape(format!("`{list}` is not a list"))),
    }
}

/// Replaces the entry in its place, or adds it at the end.
fn put(root: &mut Mapping, list: &str, kind: &str, name: &str, value: Value) -> Result<(), Wrong> {
    let mut entry = Mapping::new();
    entry.insert("name".into(), name.into());
    entry.insert(kind.into(), value);
    let entry = Value::Mapping(entry);
    match root.get_mut(list) {
        Some(Value::Sequence(entries)) => {
            match entries.iter_mut().find(|entry| entry_name(entry) == Some(name)) {
                Some(existing) => *existing = entry,
                None => entries.push(entry),
            }
            Ok(())
        }
        None | Some(Value::Null) => {
            root.insert(list.into(), Value::Sequence(vec![entry]));
            Ok(())
        }
        Some(_) => Err(Wrong::Shape(format!("`{list}` is not a list"))),
    }
}

fn mark<'a>(entry: &'a Value, kind: &str) -> Option<&'a Value> {
    let extensions = entry.get(kind)?.get("extensions")?.as_sequence()?;
    extensions.iter().find(|extension| entry_name(extension) == Some(MARK))?.get("extension")
}

fn marked(mut value: Value, previous: Option<&str>) -> Value {
    let mut note = Mapping::new();
    note.insert("managedBy".into(), "kubake".into());
    if let Some(previous) = previous {
        note.insert("previousContext".into(), previous.into());
    }
    let mut extension = Mapping::new();
    extension.insert("name".into(), MARK.into());
    extension.insert("extension".into(), Value::Mapping(note));
    if let Some(mapping) = value.as_mapping_mut() {
        mapping.insert("extensions".into(), Value::Sequence(vec![Value::Mapping(extension)]));
    }
    value
}

/// Reads, changes and replaces the file under its lock; `change` says whether there is anything to write.
fn change(path: &Path, change: impl FnOnce(&mut Value) -> Result<bool, Wrong>) -> Result<bool, Error> {
    // Dotfile managers make it a link; the link has to stay one.
    let path = &resolve(path);
    let write = |source| Error::Write { path: path.clone(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory).map_err(write)?;
    let _lock = Lock::take(path)?;

    let mut tree = load(path)?;
    let before = tree.clone();
    let outcome = change(&mut tree).map_err(|wrong| wrong.at(path))?;
    if tree != before {
        let text = serde_yaml::to_string(&tree).map_err(|source| Error::Yaml { path: path.clone(), source })?;
        let mode = fs::metadata(path).map_or(0o600, |metadata| metadata.permissions().mode() & 0o777);
        let mut file = tempfile::Builder::new().prefix(".kubake-").tempfile_in(directory).map_err(write)?;
        file.write_all(text.as_bytes()).map_err(write)?;
        // It holds a key that is root on this machine, whoever could read the file before.
        file.as_file().set_permissions(fs::Permissions::from_mode(mode & 0o600)).map_err(write)?;
        file.as_file().sync_all().map_err(write)?;
        file.persist(path).map_err(|error| write(error.error))?;
    }
    Ok(outcome)
}

fn load(path: &Path) -> Result<Value, Error> {
    match fs::read_to_string(path) {
        Ok(text) => serde_yaml::from_str(&text).map_err(|source| Error::Yaml { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Follows symbolic links to the file that is to be replaced, which need not exist.
fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as the kernel follows.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}

/// kubectl's lock: a file beside the kubeconfig that exists while somebody writes.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    fn take(kubeconfig: &Path) -> Result<Self, Error> {
        let mut name = kubeconfig.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, _file: file }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::Write { path, source: error });
                }
                Err(_) if Instant::now() >= deadline => return Err(Error::Locked { path }),
                // kubectl holds it for milliseconds and tells nobody when it lets go.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("remove the lock `{}`: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SERVED: &str = "apiVersion: v1\nkind: Config\ncurrent-context: kind\nclusters:\n- name: kind\n  cluster:\n    server: https://127.0.0.1:8443\n    \
                          certificate-authority-data: Q0E=\n    tls-server-name: kubernetes\nusers:\n- name: kind\n  user:\n    client-certificate-data: QQ==\n    \
                          client-key-data: Qg==\ncontexts:\n- name: kind\n  context: {cluster: kind, user: kind}\n";

    const FOREIGN: &str = "apiVersion: v1\nkind: Config\nx-unknown: {kept: [1, 2]}\npreferences: {colors: true}\ncurrent-context: work\nclusters:\n\
                           - name: work\n  cluster: {server: 'https://work:6443', x-more: 1}\nusers:\n- name: work\n  user:\n    exec: {command: aws, args: [eks]}\n\
                           contexts:\n- name: work\n  context: {cluster: work, user: work, namespace: team}\n";

    fn entries(name: &str) -> Entries {
        Entries::from_served(SERVED, name, Some("https://127.0.0.1:9443")).unwrap()
    }

    fn tree(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn merged_beside_foreign_entries() {
        let mut merged = tree(FOREIGN);
        merge(&mut merged, &entries("kubake"), true).unwrap();
        insta::assert_snapshot!(serde_yaml::to_string(&merged).unwrap());
    }

    #[test]
    fn into_nothing_and_out_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/config");
        add(&path, &entries("kubake"), true).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(remove(&path, "kubake").unwrap());
        assert!(!remove(&path, "kubake").unwrap());
        let left = tree(&fs::read_to_string(&path).unwrap());
        assert_eq!(left.get("current-context").and_then(Value::as_str), Some(""));
        assert!(!remove(&directory.path().join("absent"), "kubake").unwrap());
    }

    #[test]
    fn current_context_is_set_only_where_asked_and_given_back() {
        let mut quiet = tree(FOREIGN);
        merge(&mut quiet, &entries("kubake"), false).unwrap();
        assert_eq!(quiet.get("current-context").and_then(Value::as_str), Some("work"));

        let mut twice = tree(FOREIGN);
        merge(&mut twice, &entries("kubake"), true).unwrap();
        merge(&mut twice, &entries("kubake"), true).unwrap();
        assert_eq!(twice.get("current-context").and_then(Value::as_str), Some("kubake"));
        assert!(strip(&mut twice, "kubake").unwrap());
        assert_eq!(twice, tree(FOREIGN));

        // The user has changed over meanwhile: that stays.
        let mut moved = tree(FOREIGN);
        merge(&mut moved, &entries("kubake"), true).unwrap();
        mapping(&mut moved).unwrap().insert("current-context".into(), "work".into());
        strip(&mut moved, "kubake").unwrap();
        assert_eq!(moved, tree(FOREIGN));
    }

    #[test]
    fn somebody_elses_entry_is_neither_overwritten_nor_removed() {
        let mut theirs = tree(FOREIGN);
        assert_eq!(
            merge(&mut theirs, &entries("work"), true),
            Err(Wrong::Foreign { kind: "cluster", name: "work".to_owned() })
        );
        assert!(!strip(&mut theirs, "work").unwrap());
        assert_eq!(theirs, tree(FOREIGN));
    }

    #[test]
    fn what_cannot_be_understood_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        for broken in ["a: [", "- a\n- b\n", "clusters: 3\n", "contexts: {}\n", "a: 1\na: 2\n", "text"] {
            fs::write(&path, broken).unwrap();
            let error = add(&path, &entries("kubake"), true).unwrap_err();
            assert!(matches!(error, Error::Yaml { .. } | Error::Shape { .. }), "{broken}: {error}");
            assert_eq!(check(&path, "kubake").unwrap_err().to_string(), error.to_string());
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("dotfiles");
        let link = directory.path().join("config");
        fs::write(&real, FOREIGN).unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink("dotfiles", &link).unwrap();
        add(&link, &entries("kubake"), true).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::read_to_string(&real).unwrap().contains("name: kubake"));
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_the_cluster_serves_is_checked() {
        for text in ["", "oops", "clusters: []", "clusters: [{name: a, cluster: {server: x}}]", "{"] {
            assert!(matches!(Entries::from_served(text, "a", None), Err(Error::Served(_))), "{text}");
        }
        let standalone = tree(&entries("b").standalone().unwrap());
        assert_eq!(standalone.get("current-context").and_then(Value::as_str), Some("b"));
    }

    fn foreign_tree() -> impl Strategy<Value = Value> {
        let name = "[a-z]{1,6}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ -~]{0,12}".prop_map(Value::from),
        ];
        let entry = (name, "[a-z-]{1,8}", leaf.clone()).prop_map(|(name, key, leaf)| {
            let inner = Mapping::from_iter([(Value::from(key), leaf)]);
            Value::Mapping(Mapping::from_iter([
                ("name".into(), Value::from(format!("other-{name}"))),
                ("cluster".into(), Value::Mapping(inner)),
            ]))
        });
        let list = || prop::collection::vec(entry.clone(), 0..4).prop_map(Value::Sequence);
        (list(), list(), list(), leaf, "other-[a-z]{1,6}").prop_map(|(clusters, users, contexts, extra, current)| {
            Value::Mapping(Mapping::from_iter([
                ("x-extra".into(), extra),
                ("clusters".into(), clusters),
                ("users".into(), users),
                ("contexts".into(), contexts),
                ("current-context".into(), Value::from(current)),
            ]))
        })
    }

    proptest! {
        #[test]
        fn in_and_out_leaves_everything_else(before in foreign_tree(), set_context: bool) {
            let mut after = before.clone();
            merge(&mut after, &entries("kubake"), set_context).unwrap();
            let written = serde_yaml::to_string(&after).unwrap();
            let mut after = tree(&written);
            prop_assert!(strip(&mut after, "kubake").unwrap());
            let mut expected = before.clone();
            let current = before.get("current-context").and_then(Value::as_str).unwrap().to_owned();
            if set_context && find(before.as_mapping().unwrap(), "contexts", &current).unwrap().is_none() {
                // It named a context that does not exist; there is nothing to give back.
                mapping(&mut expected).unwrap().insert("current-context".into(), "".into());
            }
            prop_assert_eq!(after, expected);
        }
    }
}
