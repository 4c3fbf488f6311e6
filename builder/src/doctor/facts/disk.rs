//! Finds the file system that holds the engine's data.

use std::path::Path;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Disk {
    /// The data directory of the engine.
    pub(crate) path: String,
    /// For example `ext4`.
    pub(crate) filesystem: String,
    /// Bytes that are available.
    pub(crate) free: u64,
    /// Bytes in total.
    pub(crate) total: u64,
}

/// The file system that holds a path: the one with the longest matching mount point.
pub(super) fn disk(path: &Path) -> Option<Disk> {
    let disks = sysinfo::Disks::new_with_refreshed_list();
    let disk = disks
        .iter()
        .filter(|disk| path.starts_with(disk.mount_point()))
        .max_by_key(|disk| disk.mount_point().as_os_str().len())?;
    Some(Disk {
        path: path.display().to_string(),
        filesystem: disk.file_system().to_string_lossy().into_owned(),
        free: disk.available_space(),
        total: disk.total_space(),
    })
}
