//! A file or a directory with images, as it was found on this machine. Reads none of its content.

use std::io;
use std::path::PathBuf;

use super::archive::Packing;
use super::layout;

/// What an archive is before it is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    File(Packing),
    Layout(Vec<layout::Member>),
}

/// Images in a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archive {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Hash of its content.
    pub digest: String,
    /// How large it is as plain tar, which is what is copied.
    pub size: u64,
    pub(super) form: Form,
}

impl Archive {
    /// A plain tar that was just made.
    ///
    /// # Errors
    /// When it is not there.
    pub(crate) fn plain(path: PathBuf, name: &str) -> io::Result<Self> {
        let size = path.metadata()?.len();
        Ok(Self { path, name: name.to_owned(), digest: String::new(), size, form: Form::File(Packing::Plain) })
    }
}
