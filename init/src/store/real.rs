//! Replaces the links to frozen layers on containerd's volume by copies, while containerd runs.

use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::error::{StoreError, file};
use super::freeze::is_link;
use super::layout::SNAPSHOTTER;
use super::tree::{copy_tree, create_directory, read_directory, remove_tree};

/// Where layers are copied to before they replace links; containerd removes what it does not know beside its snapshots.
const COPIES: &str = "kubake-copies";

/// Whether layers on the volume are links into the image.
///
/// # Errors
/// When the volume cannot be read.
pub(crate) fn is_linked(volume: &Path) -> Result<bool, StoreError> {
    for entry in read_directory(&volume.join(SNAPSHOTTER).join("snapshots"))? {
        if is_link(&entry)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies every linked layer to the volume. Running containers keep using the old one, which is the same.
///
/// # Errors
/// When the volume is full; some layers may have been copied.
pub(crate) fn copy_layers(volume: &Path) -> Result<(), StoreError> {
    let copies = volume.join(COPIES);
    remove_tree(&copies)?;
    create_directory(&copies)?;
    for entry in read_directory(&volume.join(SNAPSHOTTER).join("snapshots"))? {
        if !is_link(&entry)? {
            continue;
        }
        let link = entry.path();
        let source = std::fs::canonicalize(&link).map_err(file("read", &link))?;
        let copy = copies.join(entry.file_name());
        copy_tree(&source, &copy)?;
        renameat_with(CWD, &copy, CWD, &link, RenameFlags::EXCHANGE)
            .map_err(|error| file("replace", &link)(error.into()))?;
    }
    remove_tree(&copies)
}
