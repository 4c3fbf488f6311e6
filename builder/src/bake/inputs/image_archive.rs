//! A file or a directory that holds images. Reads none of its content.

use std::io;
use std::path::PathBuf;

use super::archive::Packing;
use super::layout;

/// The form on this machine, which becomes plain tar when it is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    File(Packing),
    Layout(Vec<layout::Member>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Path on this machine.
    pub(crate) path: PathBuf,
    /// File name, for messages and for the inbox.
    pub(crate) name: String,
    /// Digest of the content; empty for an archive that kubake saved, which is not an input.
    pub(crate) digest: String,
    /// Bytes as plain tar, the form in which it is copied.
    pub(crate) size: u64,
    pub(super) form: Form,
}

impl Archive {
    /// A plain tar file that kubake has just written.
    ///
    /// # Errors
    /// If the file does not exist.
    pub(crate) fn plain(path: PathBuf, name: &str) -> io::Result<Self> {
        let size = path.metadata()?.len();
        Ok(Self { path, name: name.to_owned(), digest: String::new(), size, form: Form::File(Packing::Plain) })
    }
}
