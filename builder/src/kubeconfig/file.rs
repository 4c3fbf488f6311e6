//! Reads, changes and replaces the user's file under its lock.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_yaml::{Mapping, Value};

use super::entries::Entries;
use super::error::{Error, Wrong};
use super::lock::Lock;
use super::merge::{merge, strip};
use super::replace::replace;
use super::yaml;

/// Checks that [`add`] could add a cluster with this name. Writes nothing.
///
/// # Errors
/// Those of [`add`].
pub(crate) fn check(path: &Path, name: &str) -> Result<(), Error> {
    let path = &resolve(path);
    let empty = || Value::Mapping(Mapping::new());
    let entries = Entries { name: name.to_owned(), cluster: empty(), user: empty(), engine: String::new() };
    merge(&mut load(path)?, &entries, false).map_err(|wrong| wrong.at(path))
}

/// Adds the entries to the file. Creates the file if it does not exist.
///
/// # Errors
/// See [`Error`]; the file is then as it was.
pub(crate) fn add(path: &Path, entries: &Entries, set_context: bool) -> Result<(), Error> {
    change(path, |tree| merge(tree, entries, set_context).map(|()| true)).map(drop)
}

/// Removes the entries of the cluster `name`. Returns false if there are none. `engine` is the endpoint of the engine in
/// which no such cluster exists any more; a cluster of another engine keeps its entries.
///
/// # Errors
/// See [`Error`]; the file is then as it was.
pub(crate) fn remove(path: &Path, name: &str, engine: &str) -> Result<bool, Error> {
    if !path.exists() {
        return Ok(false);
    }
    change(path, |tree| strip(tree, name, engine))
}

/// Reads, changes and replaces the file under its lock. Returns the result of `change`.
fn change(path: &Path, change: impl FnOnce(&mut Value) -> Result<bool, Wrong>) -> Result<bool, Error> {
    // Dotfile managers make the file a link, which must stay a link.
    let (given, path) = (path, &resolve(path));
    let write = |source| Error::Write { path: path.clone(), source };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(directory).map_err(write)?;
    // kubectl locks the name that it was given (client-go: `lockName`), which may be that of a link.
    let _links = if given == path.as_path() { None } else { Some(Lock::take(given)?) };
    let _lock = Lock::take(path)?;

    let mut tree = load(path)?;
    let before = tree.clone();
    let outcome = change(&mut tree).map_err(|wrong| wrong.at(path))?;
    if tree != before {
        let text = yaml::to_string(&tree).map_err(|wrong| wrong.at(path))?;
        replace(path, directory, text.as_bytes()).map_err(write)?;
    }
    Ok(outcome)
}

fn load(path: &Path) -> Result<Value, Error> {
    // A device such as /dev/null would be replaced by a file, which breaks other programs; a pipe would block.
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return Err(Error::NoFile { path: path.to_owned() });
    }
    match fs::read_to_string(path) {
        Ok(text) => serde_yaml::from_str(&text).map_err(|source| Error::Yaml { path: path.to_owned(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// Follows symbolic links to the file to replace, which need not exist.
fn resolve(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // The kernel follows as many.
    for _ in 0..40 {
        let Ok(target) = fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(target);
    }
    path
}
