//! Volumes as objects of the API and as directories: their form, and which ones are to be removed. Pure, except for
//! making a directory.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::claim::{PROVISIONED_BY, PROVISIONER};

/// As local provisioners elsewhere make volumes: without an fsGroup a pod may write as any user. The directory above is
/// root's.
const MODE: u32 = 0o777;
/// Prefix of the names of volumes, as every provisioner has it.
const PREFIX: &str = "pvc-";

/// The name of the volume for a claim.
pub(super) fn name(claim: &Value) -> Option<String> {
    let uid = claim["metadata"]["uid"].as_str()?;
    let is_safe = !uid.is_empty() && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_safe.then(|| format!("{PREFIX}{uid}"))
}

/// The volume for a claim.
pub(super) fn object(name: &str, path: &Path, claim: &Value, class: &Value, node: &str) -> Value {
    let (metadata, spec) = (&claim["metadata"], &claim["spec"]);
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": { "name": name, "annotations": { PROVISIONED_BY: PROVISIONER } },
        "spec": {
            "capacity": { "storage": spec["resources"]["requests"]["storage"] },
            "accessModes": spec["accessModes"],
            "volumeMode": "Filesystem",
            "storageClassName": class["metadata"]["name"],
            "persistentVolumeReclaimPolicy": class["reclaimPolicy"].as_str().unwrap_or("Delete"),
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"], "name": metadata["name"],
                "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"],
            },
            "local": { "path": path },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [
                { "key": "kubernetes.io/hostname", "operator": "In", "values": [node] },
            ] }] } },
        },
    })
}

/// The directory of a volume that may be removed with it: one that this controller made and whose content nothing keeps.
/// `is_gone` means that the object was deleted.
pub(super) fn removable(volume: &Value, directory: &Path, is_gone: bool) -> Option<PathBuf> {
    let (metadata, spec) = (&volume["metadata"], &volume["spec"]);
    let name = metadata["name"].as_str()?;
    let is_ours = metadata["annotations"][PROVISIONED_BY] == PROVISIONER
        && spec["persistentVolumeReclaimPolicy"] == "Delete"
        && name.starts_with(PREFIX)
        && !name.contains('/');
    let path = directory.join(name);
    let is_its_own = spec["local"]["path"].as_str().map(Path::new) == Some(&path);
    (is_ours && is_its_own && (is_gone || volume["status"]["phase"] == "Released")).then_some(path)
}

/// Makes the directory of a volume; that it is there already is fine.
pub(super) fn make(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    // The umask may take rights away.
    fs::set_permissions(path, PermissionsExt::from_mode(MODE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(policy: &str) -> Value {
        let claim = json!({
            "metadata": { "name": "data", "namespace": "shop", "uid": "1-a", "resourceVersion": "7" },
            "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } },
        });
        let class = json!({ "metadata": { "name": "standard" }, "reclaimPolicy": policy });
        let name = name(&claim).unwrap();
        object(&name, &Path::new("/volumes").join(&name), &claim, &class, "here")
    }

    #[test]
    fn a_volume_is_local_and_of_its_claim() {
        let volume = made("Retain");
        assert_eq!(volume["spec"]["local"]["path"], "/volumes/pvc-1-a");
        assert_eq!(volume["spec"]["claimRef"]["uid"], "1-a");
        assert_eq!(volume["spec"]["persistentVolumeReclaimPolicy"], "Retain");
        assert_eq!(volume["spec"]["capacity"]["storage"], "1Gi");
        let terms = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
        assert_eq!(terms[0]["matchExpressions"][0]["values"], json!(["here"]));
        assert_eq!(name(&json!({ "metadata": { "uid": "../etc" } })), None);
    }

    #[test]
    fn only_released_directories_of_our_own_are_removed() {
        let directory = Path::new("/volumes");
        let with = |policy: &str, changes: &[(&str, Value)]| {
            let mut volume = made(policy);
            volume["status"] = json!({ "phase": "Released" });
            for (pointer, value) in changes {
                *volume.pointer_mut(pointer).unwrap() = value.clone();
            }
            removable(&volume, directory, false)
        };
        assert_eq!(with("Delete", &[]), Some(directory.join("pvc-1-a")));
        assert_eq!(with("Retain", &[]), None);
        assert_eq!(with("Delete", &[("/status/phase", "Bound".into())]), None);
        assert_eq!(with("Delete", &[("/spec/local/path", "/etc".into())]), None);
        assert_eq!(with("Delete", &[("/metadata/annotations", json!({}))]), None);
        assert_eq!(with("Delete", &[("/metadata/name", "pvc-../../etc".into())]), None);
        assert_eq!(removable(&made("Delete"), directory, true), Some(directory.join("pvc-1-a")));
    }

    #[test]
    fn any_user_may_write_to_a_new_volume_and_an_old_one_keeps_its_mode() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("pvc-1");
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
        make(&path).unwrap();
        assert_eq!(mode(), MODE);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o2770)).unwrap();
        make(&path).unwrap();
        assert_eq!(mode(), 0o2770);
    }
}
