//! Reads a cgroup file, with an error that names it.

use std::path::Path;

use super::error::CgroupError;

pub(super) fn read(path: &Path) -> Result<String, CgroupError> {
    std::fs::read_to_string(path).map_err(|source| CgroupError::Read { path: path.to_owned(), source })
}
