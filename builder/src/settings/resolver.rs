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
    /// What `~` at the start of a path means.
    home: Option<String>,
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
        let home = sources.env.get("HOME").filter(|home| !home.is_empty()).cloned();
        Self { entries, home, origins: Origins::default(), problems: file.problems }
    }

    /// Reads a group's values over its defaults. Values that others override are parsed, too: their mistakes are reported
    /// now and not on the day when they count.
    pub(super) fn group<V>(&mut self, values: &mut V, settings: &[Setting<V>]) {
        for Setting { declaration, access } in settings {
            let key = declaration.key;
            for entry in self.entries.iter().filter(|entry| entry.key == key) {
                let mut problem = |message| self.problems.push(Problem { origin: entry.origin.clone(), message });
                let home = self.home.as_deref().filter(|_| matches!(declaration.shape, Shape::Path));
                let value = match &entry.value {
                    Value::One(text) => Value::One(expand_home(text, home)),
                    many @ Value::Many(_) => many.clone(),
                };
                match (access, &value) {
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

/// A path with the home directory instead of `~`, which no shell has replaced in a file or after `=`.
fn expand_home(text: &str, home: Option<&str>) -> String {
    match (home, text.strip_prefix('~')) {
        (Some(home), Some(rest)) if rest.is_empty() || rest.starts_with('/') => format!("{home}{rest}"),
        _ => text.to_owned(),
    }
}

/// The file of a list such as PATH to which kubectl adds a context: the first that exists, else the last
/// (client-go: `ClientConfigLoadingRules.GetDefaultFilename`).
fn kubectls_choice(list: &str) -> Option<String> {
    let paths = || list.split(':').filter(|part| !part.is_empty());
    let existing = paths().find(|path| std::path::Path::new(path).exists());
    existing.or_else(|| paths().next_back()).map(str::to_owned)
}

/// What the environment says about a setting.
fn from_environment(sources: &Sources, declaration: &Declaration) -> Option<Entry> {
    // An empty variable is how a CI system says "not set".
    let set = |name: &&'static str| Some((*name, sources.env.get(*name).filter(|text| !text.is_empty())?));
    let (name, text) = declaration.env.iter().find_map(set)?;
    let value = match declaration.shape {
        Shape::List => Value::Many(text.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect()),
        Shape::Path if name == "KUBECONFIG" => Value::One(kubectls_choice(text)?),
        Shape::Path | Shape::Scalar => Value::One(text.clone()),
    };
    Some(Entry { key: declaration.key, value, origin: Origin::Env(name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_home_is_expanded() {
        let home = Some("/home/me");
        assert_eq!(expand_home("~/.kube/x", home), "/home/me/.kube/x");
        for text in ["~other/x", "/a/~/b", "./~"] {
            assert_eq!(expand_home(text, home), text);
        }
        assert_eq!(expand_home("~/x", None), "~/x");
    }

    #[test]
    fn a_list_of_kubeconfigs_is_read_as_kubectl_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let list = format!(":{}:{}:{}", path("a"), path("b"), path("c"));
        assert_eq!(kubectls_choice(&list), Some(path("c")));
        std::fs::write(path("b"), "").unwrap();
        assert_eq!(kubectls_choice(&list), Some(path("b")));
        assert_eq!(kubectls_choice(":"), None);
    }
}
