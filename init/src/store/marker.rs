//! The note on containerd's volume about whose state lies there: the id of the store, and the claim of a container, which
//! is a random text in the container's own layer.

use std::path::Path;
use std::{fs, io};

use super::error::{StoreError, file};
use super::layout::MARKER;
use crate::files;

/// Whose state lies on a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker {
    /// Id of the store that was attached.
    pub(super) store: String,
    /// Claim of the container that attached it.
    pub(super) claim: String,
}

/// Reads the marker of a volume; none on a volume to which no store was attached completely. An empty one counts as none:
/// a full disk cut it off.
pub(super) fn read(volume: &Path) -> Result<Option<Marker>, StoreError> {
    let Some(text) = read_text(&volume.join(MARKER))? else { return Ok(None) };
    let mut lines = text.lines().map(str::to_owned);
    let store = lines.next().unwrap_or_default();
    Ok(Some(Marker { store, claim: lines.next().unwrap_or_default() }))
}

/// Writes the marker, whole or not at all.
pub(super) fn write(volume: &Path, marker: &Marker) -> Result<(), StoreError> {
    let text = format!("{}\n{}\n", marker.store, marker.claim);
    let path = volume.join(MARKER);
    if read(volume)?.as_ref() == Some(marker) {
        return Ok(());
    }
    replace(&path, &text).map_err(file("write", &path))
}

/// The claim of this container, made if there is none.
pub(super) fn claim(path: &Path) -> Result<String, StoreError> {
    if let Some(claim) = read_text(path)? {
        return Ok(claim);
    }
    let claim = random()?;
    replace(path, &claim).map_err(file("write", path))?;
    Ok(claim)
}

/// A random text that no other call returns.
pub(super) fn random() -> Result<String, StoreError> {
    let source = Path::new("/proc/sys/kernel/random/uuid");
    Ok(fs::read_to_string(source).map_err(file("read", source))?.trim().to_owned())
}

fn read_text(path: &Path) -> Result<Option<String>, StoreError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(file("read", path)(source)),
    }
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    files::replace(path, text.as_bytes(), 0o644, files::sync)
}
