//! A block of lines in a file that other programs own as well: the lines between two markers are kubake's, and no other
//! line is ever changed.
//!
//! Such files may be bind-mounted, so they are written in place: renaming a new file over a mount point fails.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use crate::files::{SharedFileError, read_shared};

pub(crate) const BEGIN: &str = "# kubake: begin";
pub(crate) const END: &str = "# kubake: end";

/// Returns `existing` with a block of exactly `lines`, in the old block's place or at the end. Without lines the block is
/// removed.
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

/// Updates the block in the file at `path` and returns whether the file changed. A missing file is created.
pub(crate) fn apply(path: &Path, lines: &str) -> Result<bool, SharedFileError> {
    let existing = read_shared(path)?.unwrap_or_default();
    let wanted = render(&existing, lines);
    if wanted == existing {
        return Ok(false);
    }
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        // The new text replaces the old one before the length is set, so that no reader ever finds the file empty.
        file.write_all(wanted.as_bytes())?;
        file.set_len(wanted.len() as u64)
    };
    write().map_err(|source| SharedFileError::Write { path: path.to_owned(), source })?;
    Ok(true)
}
