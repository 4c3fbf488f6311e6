//! Saves images of the engine into archives.

use std::path::{Path, PathBuf};

use super::error::{Error, failed_to};
use super::inputs::{self, Archive};
use crate::engine::Engine;
use crate::engine::command::Save;

pub(super) fn save(engine: &Engine, output: &Path, images: Vec<String>) -> Result<(), Error> {
    let what = format!("save {} images into `{}`", images.len(), output.display());
    engine.run(&Save { output: output.to_owned(), images }).map_err(failed_to(what))
}

/// An archive that [`save`] wrote, ready to be copied under a name.
pub(super) fn saved(path: PathBuf, name: &str) -> Result<Archive, Error> {
    let failed = |path: PathBuf| move |source| inputs::Error::Read { path, source };
    Ok(Archive::plain(path.clone(), name).map_err(failed(path))?)
}
