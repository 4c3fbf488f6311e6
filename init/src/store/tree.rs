//! Copies, creates, removes and lists directories, with errors that name the path.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::{StoreError, file};
use crate::files;

/// Copies a file or tree with everything that a layer may hold: owners, modes, times, links, devices, capabilities.
pub(super) fn copy_tree(from: &Path, to: &Path) -> Result<(), StoreError> {
    // coreutils' cp preserves hard links, sparse files, xattrs and ACLs. A boot copies only small metadata, for which no
    // process is started.
    if is_small(from) {
        return copy_small(from, to);
    }
    let status = std::process::Command::new("cp")
        .args(["--archive", "--no-target-directory"])
        .args([from, to])
        .stdin(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(file("copy", from)(io::Error::other(format!("cp ended with {status}")))),
        Err(source) => Err(file("copy", from)(source)),
    }
}

/// Whether the path is metadata, which consists of plain files and directories, and not a layer.
fn is_small(path: &Path) -> bool {
    path.is_file() || path.ends_with("metadata")
}

fn copy_small(from: &Path, to: &Path) -> Result<(), StoreError> {
    if from.is_dir() {
        create_directory(to)?;
        for entry in read_directory(from)? {
            copy_small(&entry.path(), &to.join(entry.file_name()))?;
        }
        Ok(())
    } else {
        fs::copy(from, to).map(drop).map_err(file("copy", from))
    }
}

pub(super) fn create_directory(path: &Path) -> Result<(), StoreError> {
    fs::DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(file("create", path))
}

pub(super) fn remove_tree(path: &Path) -> Result<(), StoreError> {
    files::remove(path).map_err(file("remove", path))
}

pub(super) fn read_directory(path: &Path) -> Result<Vec<fs::DirEntry>, StoreError> {
    let mut entries: Vec<fs::DirEntry> = fs::read_dir(path).and_then(Iterator::collect).map_err(file("read", path))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}
