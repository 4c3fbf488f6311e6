//! Resolves one group of settings after the other: from every value that was written to the one of highest precedence,
//! with everything that is wrong on the way. Knows no setting by name.

use super::entry::{Entry, Origin, Origins};
use super::error::Problem;
use super::file;
use super::setting::{Access, Declaration, Setting, Shape, Value};
use super::source::Sources;

pub(super) struct Resolver {
    /// Lowest precedence first.
    entries: Vec<Entry>,
    pub(super) origins: Origins,
    pub(super) problems: Vec<Problem>,
}

impl Resolver {
    /// Collects what the sources say about the settings that are declared.
    pub(super) fn new(sources: &Sources, declarations: &[&'static Declaration]) -> Self {
        let file = sources.file.as_ref();
        let file = file.map(|(path, text)| file::parse(text, path, declarations)).unwrap_or_default();
        let mut entries = file.entries;
        entries.extend(declarations.iter().filter_map(|declaration| from_environment(sources, declaration)));
        entries.extend(sources.flags.iter().cloned());
        Self { entries, origins: Origins::default(), problems: file.problems }
    }

    /// Reads a group's values over its defaults. Values that others override are parsed, too: their mistakes are reported
    /// now and not on the day when they count.
    pub(super) fn group<V>(&mut self, values: &mut V, settings: &[Setting<V>]) {
        for Setting { declaration, access } in settings {
            let key = declaration.key;
            for entry in self.entries.iter().filter(|entry| entry.key == key) {
                let mut problem = |message| self.problems.push(Problem { origin: entry.origin.clone(), message });
                match (access, &entry.value) {
                    (Access::One { store, .. }, Value::One(text)) => match store(values, text) {
                        Ok(()) => self.origins.set(key, entry.origin.clone()),
                        Err(message) => problem(message),
                    },
                    (Access::List { clear, add, .. }, Value::Many(texts)) => {
                        clear(values);
                        texts.iter().filter_map(|text| add(values, text).err()).for_each(problem);
                        self.origins.set(key, entry.origin.clone());
                    }
                    (Access::One { .. }, Value::Many(_)) | (Access::List { .. }, Value::One(_)) => {}
                }
            }
        }
    }
}

/// What the environment says about a setting.
fn from_environment(sources: &Sources, declaration: &Declaration) -> Option<Entry> {
    // An empty variable is how a CI system says "not set".
    let set = |name: &&'static str| Some((*name, sources.env.get(*name).filter(|text| !text.is_empty())?));
    let (name, text) = declaration.env.iter().find_map(set)?;
    let value = match declaration.shape {
        Shape::List => Value::Many(text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()),
        // A list of paths such as PATH; kubectl writes to the first of them.
        Shape::Path if name == "KUBECONFIG" => Value::One(text.split(':').find(|part| !part.is_empty())?.to_owned()),
        Shape::Path | Shape::Scalar => Value::One(text.clone()),
    };
    Some(Entry { key: declaration.key, value, origin: Origin::Env(name) })
}
