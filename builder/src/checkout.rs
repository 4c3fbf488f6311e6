//! Finds the source checkout that images are built from. Owns the layout of a checkout; reads only the names of its
//! add-ons.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Paths that every checkout has, and no other directory, relative to its top.
const PARTS: [&str; 2] = ["Dockerfile", "builder/components"];

/// The file that makes a directory an add-on.
pub(crate) const ADDON_FILE: &str = "addon.yaml";

/// Why no checkout was found.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The current directory was removed.
    #[error("failed to read the current directory")]
    Current(#[source] io::Error),
    #[error("kubake's source was not found: neither `{}` nor a directory above it, nor `{}`, holds `Dockerfile` and `builder/components`", .from.display(), .compiled.display())]
    NotFound {
        /// The directory where the search began.
        from: PathBuf,
        /// The checkout where the program was compiled.
        compiled: PathBuf,
    },
}

/// A source checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Searches from the current directory upwards, then where this program was compiled.
    ///
    /// # Errors
    /// [`Error::NotFound`] when neither holds a checkout.
    pub(crate) fn find() -> Result<Self, Error> {
        let current = std::env::current_dir().map_err(Error::Current)?;
        let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
        Self::find_from(&current, compiled.parent().unwrap_or(compiled))
    }

    fn find_from(current: &Path, compiled: &Path) -> Result<Self, Error> {
        current
            .ancestors()
            .chain([compiled])
            .find(|directory| PARTS.iter().all(|part| directory.join(part).exists()))
            .map(|root| Self { root: root.to_owned() })
            .ok_or_else(|| Error::NotFound { from: current.to_owned(), compiled: compiled.to_owned() })
    }

    /// The current directory as if it were a checkout: for work that only needs the places of the user's own files.
    #[must_use]
    pub(crate) fn here() -> Self {
        Self { root: PathBuf::new() }
    }

    #[must_use]
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of archives and lists of images to bake in.
    #[must_use]
    pub(crate) fn images_dir(&self) -> PathBuf {
        self.root.join("images.d")
    }

    /// The directory with a directory for each add-on.
    #[must_use]
    pub(crate) fn addons_dir(&self) -> PathBuf {
        self.root.join("builder/addons")
    }

    /// Names of the add-ons, sorted.
    #[must_use]
    pub(crate) fn addons(&self) -> Vec<String> {
        let directory = self.addons_dir();
        // A checkout of an earlier version has no add-ons.
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join(ADDON_FILE).is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// The directory of hooks that the bake runs.
    #[must_use]
    pub(crate) fn hooks_dir(&self) -> PathBuf {
        self.root.join("hooks")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn upwards_first_then_where_it_was_compiled() {
        let temporary = tempfile::tempdir().unwrap();
        let (here, there) = (temporary.path().join("here"), temporary.path().join("there"));
        for root in [&here, &there] {
            fs::create_dir_all(root.join("builder/components")).unwrap();
            fs::create_dir_all(root.join("init/src")).unwrap();
            fs::write(root.join("Dockerfile"), "").unwrap();
        }
        assert_eq!(Checkout::find_from(&here.join("init/src"), &there).unwrap().root(), here);
        assert_eq!(Checkout::find_from(temporary.path(), &there).unwrap().root(), there);
        let addons = there.join("builder/addons");
        for name in ["b", "a", "no-addon"] {
            fs::create_dir_all(addons.join(name)).unwrap();
        }
        for name in ["a", "b"] {
            fs::write(addons.join(name).join(ADDON_FILE), "").unwrap();
        }
        assert_eq!(Checkout { root: there.clone() }.addons(), ["a", "b"]);
        assert_eq!(Checkout { root: here }.addons(), Vec::<String>::new());
        fs::remove_file(there.join("Dockerfile")).unwrap();
        let error = Checkout::find_from(temporary.path(), &there).unwrap_err();
        assert!(error.to_string().contains(&there.display().to_string()), "{error}");
    }
}
