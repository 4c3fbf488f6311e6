//! Checks and prepares the hierarchy, whichever version it has.

use std::path::Path;

use super::error::CgroupError;
use super::evacuation::evacuate_at;
use super::file::read;
use super::hierarchy::{LEAF, MOUNT_POINT, Version, own_path, version};
use super::version_1::missing_v1;
use crate::files::under;
use crate::host::mountinfo;

/// Brings the cgroups below `root` (`/` except in tests) into the state that kubelet needs. Idempotent.
///
/// # Errors
/// [`CgroupError`].
pub(crate) fn apply_at(root: &Path) -> Result<(), CgroupError> {
    match version(root) {
        Version::V1 => {
            let missing = missing_v1(&mountinfo::load(&under(root, "/proc/self/mountinfo"))?);
            if missing.is_empty() {
                Ok(())
            } else {
                Err(CgroupError::Controllers(missing.into_iter().map(str::to_owned).collect()))
            }
        }
        Version::V2 => {
            let path = own_path(&read(&under(root, "/proc/self/cgroup"))?).unwrap_or_default();
            // At a second boot of the same container the process is in the leaf already.
            if path != "/" && path != format!("/{LEAF}") {
                return Err(CgroupError::HostRoot { path: under(root, MOUNT_POINT) });
            }
            evacuate_at(&under(root, MOUNT_POINT), &mut |path, text| std::fs::write(path, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::evacuation::tests::{ALL, fixture};
    use super::*;

    #[test]
    fn processes_are_moved_only_in_a_namespace_of_our_own() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sys/fs")).unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let proc = root.path().join("proc/self/cgroup");
        let fixture = fixture(Some("domain\n"), ALL, "1\n");
        fs::rename(fixture.keep(), root.path().join("sys/fs/cgroup")).unwrap();
        fs::write(&proc, "0::/system.slice/docker-1.scope\n").unwrap();
        let error = apply_at(root.path()).unwrap_err();
        assert!(matches!(error, CgroupError::HostRoot { .. }), "{error}");
        for path in ["0::/\n", "0::/init\n"] {
            fs::write(&proc, path).unwrap();
            apply_at(root.path()).unwrap();
        }
        assert_eq!(fs::read_to_string(root.path().join("sys/fs/cgroup/init/cgroup.procs")).unwrap(), "1");
    }
}
