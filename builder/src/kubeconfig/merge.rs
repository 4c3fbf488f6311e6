//! Adds the entries of a cluster to the tree of a kubeconfig and removes exactly those. Pure.

use serde_yaml::{Mapping, Value};

use super::entries::Entries;
use super::error::Wrong;

/// Name of the extension on entries of kubake.
pub(super) const MARK: &str = "kubake.io";

const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("users", "user"), ("contexts", "context")];

pub(super) fn merge(tree: &mut Value, entries: &Entries, set_context: bool) -> Result<(), Wrong> {
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
    // A second `up` keeps the previous context that the first one recorded.
    let previous = find(root, "contexts", name)?
        .and_then(|entry| mark(entry, "context"))
        .and_then(|mark| mark.get("previousContext"))
        .and_then(Value::as_str)
        .filter(|_| current == name)
        .map_or_else(|| current.clone(), str::to_owned);

    // The user may have set a namespace since the first `up`; it stays.
    let mut context = find(root, "contexts", name)?
        .and_then(|entry| entry.get("context"))
        .and_then(Value::as_mapping)
        .cloned()
        .unwrap_or_default();
    context.insert("cluster".into(), name.into());
    context.insert("user".into(), name.into());
    let makes_current = set_context || current.is_empty();
    let note = (makes_current && !previous.is_empty() && previous != name).then_some(previous.as_str());
    put(root, "clusters", "cluster", name, marked(entries.cluster.clone(), &entries.engine, None))?;
    put(root, "users", "user", name, marked(entries.user.clone(), &entries.engine, None))?;
    put(root, "contexts", "context", name, marked(Value::Mapping(context), &entries.engine, note))?;
    if makes_current {
        root.insert("current-context".into(), name.into());
    }
    Ok(())
}

pub(super) fn strip(tree: &mut Value, name: &str, engine: &str) -> Result<bool, Wrong> {
    if tree.is_null() {
        return Ok(false);
    }
    let root = mapping(tree)?;
    let note = find(root, "contexts", name)?.and_then(|entry| mark(entry, "context"));
    let noted = |key| note.and_then(|note| note.get(key)).and_then(Value::as_str);
    if let Some(other) = noted("engine").filter(|noted| *noted != engine) {
        return Err(Wrong::OtherEngine { name: name.to_owned(), engine: other.to_owned() });
    }
    let previous = note.map(|_| noted("previousContext").map(str::to_owned));
    let mut changed = false;
    for (list, kind) in LISTS {
        let Some(Value::Sequence(entries)) = root.get_mut(list) else { continue };
        let before = entries.len();
        entries.retain(|entry| !(entry_name(entry) == Some(name) && mark(entry, kind).is_some()));
        changed |= entries.len() != before;
    }
    if let Some(previous) = previous {
        if root.get("current-context").and_then(Value::as_str) == Some(name) {
            // The previous context may not exist any more.
            let back = match previous {
                Some(previous) if find(root, "contexts", &previous)?.is_some() => previous,
                _ => String::new(),
            };
            root.insert("current-context".into(), back.into());
        }
    }
    Ok(changed)
}

pub(super) fn mapping(tree: &mut Value) -> Result<&mut Mapping, Wrong> {
    tree.as_mapping_mut().ok_or_else(|| Wrong::Shape("it is not a mapping".to_owned()))
}

fn entry_name(entry: &Value) -> Option<&str> {
    entry.get("name").and_then(Value::as_str)
}

pub(super) fn find<'a>(root: &'a Mapping, list: &str, name: &str) -> Result<Option<&'a Value>, Wrong> {
    match root.get(list) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Sequence(entries)) => Ok(entries.iter().find(|entry| entry_name(entry) == Some(name))),
        Some(_) => Err(Wrong::Shape(format!("`{list}` is not a list"))),
    }
}

/// Replaces the entry in place, or appends it.
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

fn marked(mut value: Value, engine: &str, previous: Option<&str>) -> Value {
    let mut note = Mapping::new();
    note.insert("managedBy".into(), "kubake".into());
    if !engine.is_empty() {
        note.insert("engine".into(), engine.into());
    }
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
