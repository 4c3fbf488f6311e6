//! Refuses a first boot that would replace files which the user mounted: making an identity removes what an interrupted
//! boot left at its paths. Reads only.

use std::path::{Path, PathBuf};

use kubake_contract::env;

use super::ensure::ALL_FILES;
use crate::host::mountinfo::Mount;

/// Directories of the image that hold files of an identity beside files of the bake, which a mount would hide.
const ROOMS: [&str; 2] = ["/etc/kubernetes", "/etc/kubake"];

/// A mount where this container makes its own keys and certificates.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is a mount, and the first boot would replace files in it with keys and certificates of this container: mount it \
     elsewhere; to bring a CA, set {} and {}",
    path.display(), env::CA_CERT, env::CA_KEY
)]
pub(crate) struct MountedError {
    path: PathBuf,
}

/// Finds the mounts at, below or around paths of an identity. Files that users mount beside those are left alone, and so is
/// a volume at `/var/lib/kubelet`, in which only kubelet's own certificates are replaced.
pub(crate) fn mounted(mounts: &[Mount]) -> Vec<MountedError> {
    let is_in_the_way = |point: &Path| {
        ROOMS.iter().any(|room| point == Path::new(room)) || ALL_FILES.iter().any(|path| point.starts_with(path))
    };
    let found = mounts.iter().map(|mount| &mount.mount_point).filter(|point| is_in_the_way(point));
    found.map(|path| MountedError { path: path.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::mountinfo;

    fn found(points: &[&str]) -> Vec<String> {
        let line = |point: &&str| format!("1 0 0:1 / {point} rw - ext4 /dev/vda rw\n");
        let mounts = mountinfo::parse(&points.iter().map(line).collect::<String>()).unwrap();
        mounted(&mounts).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn mounts_at_an_identity_are_refused_by_name() {
        let points =
            ["/etc/kubernetes", "/etc/kubernetes/pki", "/etc/kubernetes/pki/ca.key", "/etc/kubernetes/admin.conf"];
        let errors = found(&points);
        assert_eq!(errors.len(), points.len());
        for (point, error) in points.iter().zip(errors) {
            assert!(error.starts_with(&format!("{point} is a mount")) && error.contains("KUBAKE_CA_CERT"), "{error}");
        }
    }

    #[test]
    fn mounts_beside_an_identity_are_allowed() {
        let points = ["/", "/etc/hosts", "/etc/kubernetes/audit.yaml", "/etc/kubernetes/manifests", "/var/lib/kubelet"];
        assert_eq!(found(&points), Vec::<String>::new());
    }
}
