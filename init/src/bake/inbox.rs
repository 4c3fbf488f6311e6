//! What `kubake bake` leaves in the build container for this program, and the programs that several steps call.

use std::path::Path;

use kubake_contract::{BakeRequest, names, paths};

use crate::command::{CommandError, Run};
use crate::files;
use crate::phases::BoxError;

/// The requests of `kubake bake` beside the cluster's settings.
pub(super) fn request() -> Result<BakeRequest, BoxError> {
    let text = match std::fs::read_to_string(paths::INBOX_REQUEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BakeRequest::default()),
        Err(error) => return Err(format!("cannot read {}: {error}; bake again", paths::INBOX_REQUEST).into()),
    };
    serde_yaml::from_str(&text).map_err(|error| {
        let what = "the image and `kubake` are of different versions; bake again with --force";
        format!("cannot parse {}: {error}; {what}", paths::INBOX_REQUEST).into()
    })
}

/// `ctr` in the namespace that Kubernetes uses.
pub(super) fn ctr() -> Run {
    Run::new("/usr/local/bin/ctr").args(["--namespace", names::CONTAINERD_NAMESPACE])
}

/// Full names of the images that kubeadm requires for a version.
pub(super) async fn expected_images(version: &str) -> Result<Vec<String>, CommandError> {
    let list = Run::new("/usr/local/bin/kubeadm")
        .args(["config", "images", "list", "--kubernetes-version", version])
        .capture()
        .await?;
    Ok(list.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Removes a file or tree that may not exist. The error names it.
pub(super) fn remove(path: &Path) -> Result<(), String> {
    files::remove(path).map_err(|error| format!("cannot remove {}: {error}", path.display()))
}
