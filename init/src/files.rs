//! File operations that the standard library has only in parts. Names no path of its own; callers say in their errors
//! what was to be done.

use std::path::Path;
use std::{fs, io};

/// Removes a file, link or tree; that there is none is fine. A link is removed, not what it leads to.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_links_trees_and_nothing_can_be_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("tree/below")).unwrap();
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("tree"), path("link")).unwrap();
        remove(&path("link")).unwrap();
        assert!(path("tree/below").exists(), "what a link leads to stays");
        for name in ["tree", "file", "nothing"] {
            remove(&path(name)).unwrap();
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(remove(Path::new("/proc/self/status")).is_err(), "what cannot be removed is an error");
    }
}
