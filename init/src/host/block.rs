//! Our lines in a file that is somebody else's: what stands between two markers, and never another line.
//!
//! Such files may be bind-mounted: they cannot be replaced by renaming, only written in place.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::files::{SharedFileError, read_shared};

pub(crate) const BEGIN: &str = "# kubake: begin";
pub(crate) const END: &str = "# kubake: end";

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
pub(crate) fn apply(path: &Path, lines: &str) -> Result<bool, SharedFileError> {
    let existing = read_shared(path)?.unwrap_or_default();
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
    write().map_err(|source| SharedFileError::Write { path: path.to_owned(), source })?;
    Ok(true)
}
