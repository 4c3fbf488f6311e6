//! Files on their way into the build container: what goes where, as one tar stream, and a digest of all of it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::problem::Error;
use crate::digest;

/// One file of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Path in the container, without its leading slash.
    pub target: PathBuf,
    /// What it is.
    pub content: Content,
}

/// What a tar stream holds at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A directory.
    Directory,
    /// A file of this content, mode 0644.
    Text(String),
    /// A copy of a file, with its mode.
    File(PathBuf),
}

/// A hash of a file's content.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest_file(path: &Path) -> Result<String, Error> {
    File::open(path).and_then(digest::of_reader).map_err(|source| Error::Read { path: path.to_owned(), source })
}

/// A hash of everything that is packed.
///
/// # Errors
/// When a file cannot be read.
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

/// Writes a tar stream that `docker cp - CONTAINER:/` unpacks; everything in it belongs to root.
///
/// # Errors
/// When something cannot be read or written.
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
                // A file that grows meanwhile must not spoil the entries after it.
                builder.append_data(&mut header, &item.target, file.take(size)).map_err(failed)?;
            }
        }
    }
    let unfinished = |source| Error::Pack { path: PathBuf::from("/"), source };
    let mut archive = builder.into_inner().map_err(unfinished)?;
    archive.seek(SeekFrom::Start(0)).map_err(unfinished)?;
    Ok(archive)
}
