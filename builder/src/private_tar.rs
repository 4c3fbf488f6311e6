//! A tar stream of small files that only root can read, built in memory. With it secrets reach a container that has not
//! started, also on the machine of a remote engine. Owns the modes of the files.

use std::io;
use std::path::Path;

/// The stream under construction. Has no `Debug`, because it holds secrets.
pub(crate) struct PrivateTar(tar::Builder<Vec<u8>>);

impl Default for PrivateTar {
    fn default() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }
}

impl PrivateTar {
    ///
    /// # Errors
    /// If the path cannot be written into an archive.
    pub(crate) fn directory(&mut self, path: &Path) -> io::Result<()> {
        self.append(tar::EntryType::Directory, path, 0o700, &[])
    }

    ///
    /// # Errors
    /// See [`Self::directory`].
    pub(crate) fn file(&mut self, path: &Path, content: &[u8]) -> io::Result<()> {
        self.append(tar::EntryType::Regular, path, 0o600, content)
    }

    /// Returns the stream, to be unpacked at `/`.
    ///
    /// # Errors
    /// If the end of the archive cannot be written.
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
        // Paths in an archive are relative to the directory where it is unpacked.
        self.0.append_data(&mut header, path.strip_prefix("/").unwrap_or(path), content)
    }
}
