//! Reads and writes an identity's files, with errors that name the path. Decides nothing about their content.

use std::fs;
use std::path::Path;

use super::error::IdentityError;
use super::files::File;
use crate::files::{remove, under};
use crate::services::kubelet;

pub(super) fn write_all(root: &Path, files: Vec<File>) -> Result<(), IdentityError> {
    files.iter().try_for_each(|file| write(&under(root, &file.path), file.content.as_bytes(), file.is_secret))
}

pub(super) fn write(path: &Path, content: &[u8], is_secret: bool) -> Result<(), IdentityError> {
    let mode = if is_secret { 0o600 } else { 0o644 };
    // A new file, because the old one may be a link or be open in another program.
    remove(path)
        .and_then(|()| crate::files::write(path, content, mode))
        .map_err(|source| IdentityError::Write { path: path.to_owned(), source })
}

pub(super) fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(|source| IdentityError::Read { path: path.to_owned(), source })
}

pub(super) fn link_kubelets_certificate(root: &Path) -> Result<(), IdentityError> {
    let link = under(root, kubelet::CLIENT_LINK);
    let target = Path::new(kubelet::CLIENT_CERTIFICATE).file_name().unwrap_or_default();
    remove(&link)
        .and_then(|()| std::os::unix::fs::symlink(target, &link))
        .map_err(|source| IdentityError::Write { path: link, source })
}
