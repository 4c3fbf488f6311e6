//! The two halves of a bake, run as PID 1 of a build container: `images` fills and freezes the image store, `cluster`
//! brings Kubernetes up with kubeadm on it and freezes that. And `custom`, which takes a baked cluster further. All leave
//! a file system that can be committed, or an error and a container that is thrown away.

mod cluster;
mod custom;
mod flatten;
mod freeze;
mod images;
mod jobs;
mod manifests;
mod pulls;
mod trust;

use std::path::Path;

pub(crate) use cluster::bake_cluster;
pub(crate) use custom::bake_custom;
pub(crate) use images::bake_images;
use kubake_contract::{BakeRequest, names, paths};

use crate::command::CommandError;
use crate::phases::BoxError;

/// What `kubake bake` asks for beside the cluster's settings.
fn request() -> Result<BakeRequest, BoxError> {
    let text = match std::fs::read_to_string(paths::INBOX_REQUEST) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BakeRequest::default()),
        Err(error) => return Err(format!("cannot read {}: {error}; bake again", paths::INBOX_REQUEST).into()),
    };
    serde_yaml::from_str(&text).map_err(|error| {
        let what = "the image and `kubake` are of different versions; bake again with --force";
        format!("cannot understand {}: {error}; {what}", paths::INBOX_REQUEST).into()
    })
}

/// `ctr`, in the namespace that Kubernetes uses.
fn ctr() -> crate::command::Run {
    crate::command::Run::new("/usr/local/bin/ctr").args(["--namespace", names::CONTAINERD_NAMESPACE])
}

/// The images that kubeadm wants for a version, by full name.
async fn expected_images(version: &str) -> Result<Vec<String>, CommandError> {
    let list = crate::command::Run::new("/usr/local/bin/kubeadm")
        .args(["config", "images", "list", "--kubernetes-version", version])
        .capture()
        .await?;
    Ok(list.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Removes a file or tree that may not exist; names it if that fails.
fn remove(path: &Path) -> Result<(), String> {
    crate::files::remove(path).map_err(|error| format!("cannot remove {}: {error}", path.display()))
}
