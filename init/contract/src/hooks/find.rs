//! Which hooks a directory holds, and in which order they run.
//!
//! A moment is a directory of executable files, run one after the other by name, or one executable file of its name.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The place of a moment's hooks cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}, where hooks are looked for; make it a directory of executable files, or one such file", path.display())]
pub struct FindError {
    /// The file or directory.
    pub path: PathBuf,
    pub source: io::Error,
}

/// A program to run at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Moment and file, such as `before-boot/10-proxy`; for a moment that is one file, its name.
    pub name: String,
    program: PathBuf,
    script: Option<PathBuf>,
    directory: PathBuf,
}

impl Hook {
    /// What is run.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The file that `program` interprets, where the hook is no program itself.
    #[must_use]
    pub fn script(&self) -> Option<&Path> {
        self.script.as_deref()
    }

    /// Where it is run.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

/// The hooks of a moment below `directory`, in the order in which they run. No such file, no hooks.
///
/// # Errors
/// When what is there cannot be read.
pub fn find(directory: &Path, moment: &str) -> Result<Vec<Hook>, FindError> {
    let place = directory.join(moment);
    let unreadable = |path: &Path, source| FindError { path: path.to_owned(), source };
    let is_directory = match std::fs::metadata(&place) {
        Ok(metadata) => metadata.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&place, error)),
    };
    let mut found = Vec::new();
    if is_directory {
        for entry in std::fs::read_dir(&place).map_err(|error| unreadable(&place, error))? {
            let path = entry.map_err(|error| unreadable(&place, error))?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // An editor's, or git's.
            if !file.starts_with('.') && is_executable(&path) {
                let name = format!("{moment}/{file}");
                found.push(Hook { name, program: path, script: None, directory: place.clone() });
            }
        }
    } else if is_executable(&place) {
        let name = moment.to_owned();
        found.push(Hook { name, program: place, script: None, directory: directory.to_owned() });
    }
    found.sort_by(|one, other| one.program.cmp(&other.program));
    Ok(found)
}

/// The script of `bsycorp/kind` that runs once Kubernetes is ready, where there is one.
#[must_use]
pub fn ready_script(path: &Path) -> Option<Hook> {
    path.is_file().then(|| Hook {
        name: path.display().to_string(),
        program: PathBuf::from("bash"),
        script: Some(path.to_owned()),
        directory: PathBuf::from("/"),
    })
}

fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
