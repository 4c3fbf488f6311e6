//! Files to copy into the build container: their targets, one tar stream of all, and one digest of all.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::Error;
use crate::digest;

/// A file or a directory of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Path in the container, without the leading slash.
    pub(crate) target: PathBuf,
    pub(crate) content: Content,
}

/// The content at a path of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Directory,
    /// A file with this text and mode 0644.
    Text(String),
    /// A copy of a file of this machine, with its mode.
    File(PathBuf),
}

/// The digest of the content of a file.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn digest_file(path: &Path) -> Result<String, Error> {
    File::open(path).and_then(digest::of_reader).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// The digest of targets, modes and contents.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn digest_packed(packed: &[Packed]) -> Result<String, Error> {
    let mut parts = Vec::new();
    for item in packed {
        parts.push(item.target.to_string_lossy().into_owned());
        parts.push(match &item.content {
            Content::Directory => "directory".to_owned(),
            Content::Text(text) => digest::of_parts(&[text]),
            Content::File(path) => format!("{:o} {}", mode(path)?, digest_file(path)?),
        });
    }
    Ok(digest::of_parts(&parts))
}

fn mode(path: &Path) -> Result<u32, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(metadata.permissions().mode() & 0o755)
}

/// Writes a tar stream to unpack at `/`, and returns the file at its start. Everything in it belongs to root.
///
/// # Errors
/// If a file cannot be read or the stream cannot be written.
pub(crate) fn pack(packed: &[Packed], archive: File) -> Result<File, Error> {
    let mut builder = tar::Builder::new(archive);
    for item in packed {
        let failed = |source| Error::Pack { path: item.target.clone(), source };
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        match &item.content {
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                builder.append_data(&mut header, &item.target, io::empty()).map_err(failed)?;
            }
            Content::Text(text) => {
                header.set_mode(0o644);
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, &item.target, text.as_bytes()).map_err(failed)?;
            }
            Content::File(path) => {
                let unreadable = |source| Error::Read { path: path.clone(), source };
                let file = File::open(path).map_err(unreadable)?;
                let size = file.metadata().map_err(unreadable)?.len();
                header.set_mode(mode(path)?);
                header.set_size(size);
                // A file that grows now must not damage the entries after it.
                builder.append_data(&mut header, &item.target, file.take(size)).map_err(failed)?;
            }
        }
    }
    let unfinished = |source| Error::Pack { path: PathBuf::from("/"), source };
    let mut archive = builder.into_inner().map_err(unfinished)?;
    archive.seek(SeekFrom::Start(0)).map_err(unfinished)?;
    Ok(archive)
}
