//! Lists a directory of the user's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::{Problem, unreadable};

/// Everything in a directory, by name.
pub(super) fn entries(directory: &Path, required: bool, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let problem = |what: String| Problem { path: directory.to_owned(), line: None, what };
    if !directory.is_dir() {
        if required {
            problems.push(problem("no such directory; name one that is there".to_owned()));
        }
        return Vec::new();
    }
    let read = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>());
    match read {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) => {
            problems.push(problem(unreadable(&error)));
            Vec::new()
        }
    }
}
