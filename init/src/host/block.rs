//! Our lines in a file that is somebody else's: what stands between two markers, and never another line.
//!
//! Such files may be bind-mounted: they cannot be replaced by renaming, only written in place.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) const BEGIN: &str = "# kubake: begin";
pub(crate) const END: &str = "# kubake: end";

/// What [`apply`] fails with.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The file cannot be read.
    #[error("cannot read {}; mount a readable file there, or none", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write {}; mount a writable file there, or none", path.display())]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// `existing` with our block holding exactly `lines`: in its old place, or at the end. Without lines there is no block.
#[must_use]
pub(crate) fn render(existing: &str, lines: &str) -> String {
    let mut before = String::new();
    let mut after = String::new();
    let mut found = false;
    let mut inside = false;
    for line in existing.lines() {
        match line.trim() {
            BEGIN => (inside, found) = (true, true),
            END if inside => inside = false,
            _ if inside => {}
            _ => {
                let part = if found { &mut after } else { &mut before };
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    match lines {
        "" if found => format!("{before}{after}"),
        "" => existing.to_owned(),
        _ => format!("{before}{BEGIN}\n{lines}{END}\n{after}"),
    }
}

/// Brings our block in the file at `path` up to date; true when that was a change. A file that is missing is made.
pub(crate) fn apply(path: &Path, lines: &str) -> Result<bool, BlockError> {
    let existing = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(BlockError::Read { path: path.to_owned(), source }),
    };
    let wanted = render(&existing, lines);
    if wanted == existing {
        return Ok(false);
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        // The new text over the old and then the length: at no moment is the file empty for who reads it meanwhile.
        file.write_all(wanted.as_bytes())?;
        file.set_len(wanted.len() as u64)
    };
    write().map_err(|source| BlockError::Write { path: path.to_owned(), source })?;
    Ok(true)
}
