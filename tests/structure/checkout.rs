//! The files that the rules look at: Rust sources, parsed once, and texts (pages, manifests, scripts). Reads the checkout
//! or, for the tests of a rule, files given as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::syntax;

/// Directories that hold no source of ours.
const SKIPPED: [&str; 3] = ["target", ".git", "corpus"];
/// Generated or foreign files.
const SKIPPED_ENDINGS: [&str; 5] = ["go.sum", "Cargo.lock", "LICENSE", ".snap", ".pyc"];

/// Paths are relative to the checkout, with `/`.
pub(crate) struct Checkout {
    /// `None` for a checkout that a test made up.
    pub(crate) root: Option<PathBuf>,
    /// Text of each file that is UTF-8.
    pub(crate) texts: BTreeMap<String, String>,
    /// Syntax of each `.rs` file, without what only tests compile.
    pub(crate) sources: BTreeMap<String, syn::File>,
}

impl Checkout {
    /// Reads the checkout that this crate belongs to.
    pub(crate) fn open() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the checkout").to_owned();
        let mut texts = BTreeMap::new();
        read(&root, &root, &mut texts);
        Self { root: Some(root), ..Self::parse(texts) }
    }

    /// A checkout of these files, each a path and its text.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self::parse(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    fn parse(texts: BTreeMap<String, String>) -> Self {
        let parsed: BTreeMap<String, syn::File> = texts
            .iter()
            .filter(|(path, _)| path.ends_with(".rs"))
            .map(|(path, text)| match syn::parse_file(text) {
                Ok(file) => (path.clone(), file),
                Err(error) => panic!("{path}: {error}"),
            })
            .collect();
        let for_tests: Vec<String> = parsed.iter().flat_map(|(path, file)| syntax::test_files(path, file)).collect();
        let is_for_tests = |path: &str| {
            for_tests.iter().any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
        };
        let sources = parsed
            .into_iter()
            .filter(|(path, _)| !is_for_tests(path))
            .map(|(path, file)| (path, syntax::without_tests(file)))
            .collect();
        Self { root: None, texts, sources }
    }

    /// Directories of crates, each with the name of its root file: `init/src` and `lib.rs`. A library comes before the
    /// program of the same directory.
    pub(crate) fn crates(&self) -> BTreeMap<String, &'static str> {
        let mut crates = BTreeMap::new();
        for name in ["main.rs", "lib.rs"] {
            for path in self.sources.keys() {
                if let Some(directory) = path.strip_suffix(name).and_then(|path| path.strip_suffix('/')) {
                    crates.insert(directory.to_owned(), name);
                }
            }
        }
        crates
    }
}

fn read(root: &Path, directory: &Path, texts: &mut BTreeMap<String, String>) {
    let entries = fs::read_dir(directory).expect("the checkout can be read");
    for entry in entries {
        let path = entry.expect("the checkout can be read").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_symlink() || SKIPPED_ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        } else if path.is_dir() {
            if !SKIPPED.contains(&name.as_ref()) {
                read(root, &path, texts);
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            let relative = path.strip_prefix(root).expect("it lies below the root");
            texts.insert(relative.to_string_lossy().into_owned(), text);
        }
    }
}
