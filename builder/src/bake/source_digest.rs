//! Digest of the source that the engine would get for a build: what the Dockerfile can copy, and the Dockerfile. With it, an
//! image that is there need not be built again although the engine has collected its build cache.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::digest;

const IGNORE_FILE: &str = ".dockerignore";

/// The digest of a checkout; `None` where its `.dockerignore` does not list what is copied, or a file cannot be read.
pub(super) fn of_checkout(root: &Path) -> Option<String> {
    let ignore = fs::read_to_string(root.join(IGNORE_FILE)).ok()?;
    let mut files: BTreeSet<PathBuf> = [PathBuf::from("Dockerfile"), PathBuf::from(IGNORE_FILE)].into();
    for path in listed(&ignore)? {
        collect(root, Path::new(path), &mut files).ok()?;
    }
    let mut parts = Vec::new();
    for file in files {
        parts.push(file.to_str()?.to_owned());
        parts.extend(content(&root.join(file)).ok()?);
    }
    Some(digest::of_parts(&parts))
}

/// The paths that a file which ignores everything else lets through.
fn listed(ignore: &str) -> Option<Vec<&str>> {
    let lines = || ignore.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let paths: Vec<&str> = lines().filter_map(|line| line.strip_prefix('!')).collect();
    let is_plain = |path: &&str| !path.contains(['*', '?', '[']) && !path.starts_with('/') && !path.contains("..");
    (lines().next() == Some("*") && paths.iter().all(is_plain)).then_some(paths)
}

/// Adds a file, or all files of a directory. Files that patterns exclude again are added, too: they only make a digest
/// differ that could be the same.
fn collect(root: &Path, path: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if !fs::symlink_metadata(root.join(path))?.is_dir() {
        files.insert(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(root.join(path))? {
        collect(root, &path.join(entry?.file_name()), files)?;
    }
    Ok(())
}

fn content(path: &Path) -> io::Result<[String; 2]> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(["link".to_owned(), fs::read_link(path)?.to_string_lossy().into_owned()]);
    }
    let kind = format!("{:o}", metadata.permissions().mode() & 0o111);
    Ok([kind, digest::of_reader(fs::File::open(path)?)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_copied_counts_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Dockerfile", "FROM a");
        write("init/src/main.rs", "fn main() {}");
        write("README.md", "a");
        assert_eq!(of_checkout(root.path()), None, "everything would be sent");
        write(IGNORE_FILE, "# why\n*\n!init\ninit/**/*.md\n");
        let before = of_checkout(root.path()).unwrap();
        write("README.md", "b");
        assert_eq!(of_checkout(root.path()).unwrap(), before);
        write("init/src/main.rs", "fn main() { }");
        let after = of_checkout(root.path()).unwrap();
        assert_ne!(after, before);
        fs::set_permissions(root.path().join("init/src/main.rs"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(of_checkout(root.path()).unwrap(), after);
        write(IGNORE_FILE, "*\n!init/*.rs\n");
        assert_eq!(of_checkout(root.path()), None, "patterns are the engine's business");
    }
}
