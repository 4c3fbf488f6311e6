//! Loads the add-ons of a bake.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use kubake_contract::{ADDON_PREFIX, paths};

use super::super::built::Built;
use super::super::inbox::{directory, relative};
use super::super::inputs::{self, Packed, Problem};
use super::definition::Definition;
use crate::checkout::ADDON_FILE;

/// Subdirectory of an add-on that holds its manifests.
pub(super) const MANIFESTS: &str = "manifests";
/// File in [`MANIFESTS`] that lets `kubectl apply -k` apply an add-on as a whole.
const KUSTOMIZATION: &str = "kustomization.yaml";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Addon {
    definition: Definition,
    manifests: Vec<Packed>,
}

/// The add-ons of a bake, and what was built for them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Addons {
    found: Vec<Addon>,
    /// Set when the images are built.
    pub(in super::super) images: Vec<Built>,
    /// Tar archives of the programs, set when they are built.
    pub(in super::super) trees: Vec<PathBuf>,
}

impl Addons {
    /// Images to build, as `TARGET:TAG`.
    pub(in super::super) fn wanted_images(&self) -> BTreeSet<String> {
        self.found.iter().flat_map(|addon| addon.definition.images.iter().cloned()).collect()
    }

    /// Targets of programs to build.
    pub(in super::super) fn wanted_programs(&self) -> BTreeSet<String> {
        self.found.iter().flat_map(|addon| addon.definition.programs.iter().cloned()).collect()
    }

    /// Manifests of all add-ons, for the inbox.
    pub(in super::super) fn manifests(&self) -> impl Iterator<Item = Packed> {
        self.found.iter().flat_map(|addon| addon.manifests.iter().cloned())
    }
}

/// Loads the add-ons with these names from the directory `all`. Appends mistakes to `problems`.
pub(in super::super) fn load(all: &Path, names: &[String], problems: &mut Vec<Problem>) -> Addons {
    let mut found = Vec::new();
    for name in names {
        let path = all.join(name).join(ADDON_FILE);
        let definition = match fs::read_to_string(&path) {
            Ok(text) => Definition::parse(&text),
            Err(error) => Err(vec![format!("cannot be read: {error}; `builder/addons/README.md` describes add-ons")]),
        };
        let definition = definition.unwrap_or_else(|wrong| {
            problems.extend(wrong.into_iter().map(|what| Problem { path: path.clone(), line: None, what }));
            Definition::default()
        });
        let source = all.join(name).join(MANIFESTS);
        let mut manifests = Vec::new();
        if source.is_dir() {
            if !source.join(KUSTOMIZATION).is_file() {
                let what = format!("has no {KUSTOMIZATION}; add one that lists the manifests in it");
                problems.push(Problem { path: source.clone(), line: None, what });
            }
            let target = relative(paths::INBOX_MANIFESTS).join(format!("{ADDON_PREFIX}{name}"));
            manifests.push(directory(paths::INBOX_MANIFESTS));
            manifests.extend(inputs::collect_tree(&source, &target, problems));
        }
        found.push(Addon { definition, manifests });
    }
    Addons { found, ..Addons::default() }
}
