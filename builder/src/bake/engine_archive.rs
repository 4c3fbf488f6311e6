//! Saves images of the engine into archives: by id, under names that only this bake uses. Another bake on the same engine may
//! give the shared names to other images at any moment.

use std::path::{Path, PathBuf};

use super::error::{Error, failed_to};
use super::inputs::{self, Archive};
use crate::engine::command::Tag;
use crate::engine::guard::unique_name;
use crate::engine::{Engine, ImageGuard};

/// An image, and its name in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Saved {
    pub(super) id: String,
    pub(super) name: String,
}

/// A repository that no other bake uses.
pub(super) fn own_repository() -> String {
    unique_name("kubake/bake")
}

pub(super) fn save(engine: &Engine, output: &Path, images: &[Saved]) -> Result<(), Error> {
    let mut guards = Vec::new();
    for Saved { id, name } in images {
        // The guard comes before the tag, so that the tag never stays behind.
        guards.push(ImageGuard::new(engine, name));
        engine
            .run(&Tag { image: id.clone(), name: name.clone() })
            .map_err(failed_to(format!("tag the image `{id}`")))?;
    }
    let what = format!("save {} images into `{}`", images.len(), output.display());
    let names = images.iter().map(|image| image.name.clone()).collect();
    engine.save(output, names).map_err(failed_to(what))
}

/// An archive that [`save`] wrote, ready to be copied under a name.
pub(super) fn saved(path: PathBuf, name: &str) -> Result<Archive, Error> {
    let failed = |path: PathBuf| move |source| inputs::Error::Read { path, source };
    Ok(Archive::plain(path.clone(), name).map_err(failed(path))?)
}
