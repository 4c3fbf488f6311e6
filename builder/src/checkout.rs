//! Finds the source checkout that images are built from. Owns what a checkout looks like; reads nothing else in it but the
//! names of its add-ons.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// What only a checkout has, relative to its top.
const PARTS: [&str; 2] = ["Dockerfile", "builder/components"];

/// The file that makes a directory an add-on.
pub const ADDON_FILE: &str = "addon.yaml";

/// Why there is no checkout.
#[derive(Debug, Error)]
pub enum Error {
    /// The current directory is gone.
    #[error("read the current directory")]
    Current(#[source] io::Error),
    /// There is none.
    #[error("find kubake's source: neither `{}` nor a directory above it, nor `{}`, holds `Dockerfile` and `builder/components`", .from.display(), .compiled.display())]
    NotFound {
        /// Where the search began.
        from: PathBuf,
        /// Where the program was compiled.
        compiled: PathBuf,
    },
}

/// A source checkout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Looks from the current directory upwards, then where this program was compiled.
    ///
    /// # Errors
    /// When there is none.
    pub fn find() -> Result<Self, Error> {
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

    /// The current directory, whatever it is: for what takes nothing from a checkout but the places where people look
    /// for their own files.
    #[must_use]
    pub fn here() -> Self {
        Self { root: PathBuf::new() }
    }

    /// Its top directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Archives and lists of images to bake in.
    #[must_use]
    pub fn images_dir(&self) -> PathBuf {
        self.root.join("images.d")
    }

    /// Add-ons, each a directory.
    #[must_use]
    pub fn addons_dir(&self) -> PathBuf {
        self.root.join("builder/addons")
    }

    /// Names of the add-ons, in order.
    #[must_use]
    pub fn addons(&self) -> Vec<String> {
        let directory = self.addons_dir();
        // A checkout of an earlier version has none.
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .filter(|entry| entry.path().join(ADDON_FILE).is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        names
    }

    /// Hooks that the bake runs.
    #[must_use]
    pub fn hooks_dir(&self) -> PathBuf {
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
