//! Lists the directories that a user fills.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::{Problem, unreadable};

/// All paths in a directory, sorted. A missing directory is a problem only if it is `required`.
pub(super) fn entries(directory: &Path, required: bool, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let problem = |what: String| Problem { path: directory.to_owned(), line: None, what };
    if !directory.is_dir() {
        if required {
            problems.push(problem("no such directory; name an existing one".to_owned()));
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
