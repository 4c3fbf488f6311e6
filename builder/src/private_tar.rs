//! A tar stream of small files for root alone, made in memory: how secrets get into a container that has not started, also by
//! an engine on another machine. Owns their modes; what they hold is others' business.

use std::io;
use std::path::Path;

/// Collects the files. Cannot be printed: it holds secrets.
pub(crate) struct PrivateTar(tar::Builder<Vec<u8>>);

impl Default for PrivateTar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl PrivateTar {
    /// Adds a directory.
    ///
    /// # Errors
    /// When the path cannot be one of an archive.
    pub(crate) fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.append(tar::EntryType::Directory, path, 0o700, &[])
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`Self::directory`].
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.append(tar::EntryType::Regular, path, 0o600, content)
    }

    /// The stream, to be unpacked at `/`.
    ///
    /// # Errors
    /// When there is no memory left.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner()
    }

    fn append(&mut self, kind: tar::EntryType, path: &Path, mode: u32, content: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(content.len() as u64);
        // Names in an archive lead from where it is unpacked.
        self.0.append_data(&mut header, path.strip_prefix("/").unwrap_or(path), content)
    }
}
