//! Replaces a file's content as a whole. Keeps the file's owner.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

/// Replaces `path`, a regular file or nothing, in `directory`. After an error the old content is still there, except if
/// the file is a mount point and its file system refuses the new content.
pub(super) fn replace(path: &Path, directory: &Path, content: &[u8]) -> io::Result<()> {
    let old = fs::metadata(path).ok();
    let mode = old.as_ref().map_or(0o600, |metadata| metadata.permissions().mode() & 0o777);
    // Under sudo the file still belongs to the user whose home it lies in.
    let owner = old.map_or_else(|| fs::metadata(directory), Ok)?;
    let mut file = tempfile::Builder::new().prefix(".kubake-").tempfile_in(directory)?;
    file.write_all(content)?;
    give(file.as_file(), owner.uid(), owner.gid())?;
    // The new key gives root on this machine, so the file becomes private even if it was readable before.
    let private = Permissions::from_mode(mode & 0o600);
    file.as_file().set_permissions(private.clone())?;
    file.as_file().sync_all()?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        // A file that is mounted into a container cannot be replaced by a rename, only rewritten.
        Err(error) if error.error.kind() == io::ErrorKind::ResourceBusy => rewrite(path, content, private),
        Err(error) => Err(error.error),
    }
}

/// Only root can give a file away, and only root needs to: other users write files of their own.
fn give(file: &File, uid: u32, gid: u32) -> io::Result<()> {
    let present = file.metadata()?;
    if (present.uid(), present.gid()) == (uid, gid) {
        return Ok(());
    }
    match fchown(file, Some(uid), Some(gid)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// Makes the file private before it is emptied, so that a refusal loses nothing.
fn rewrite(path: &Path, content: &[u8], private: Permissions) -> io::Result<()> {
    fs::set_permissions(path, private)?;
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}
