//! Archives and layouts for tests.

use std::fs;
use std::path::{Path, PathBuf};

use super::images::{Images, read_images};
use super::layout::{INDEX, LAYOUT, NAMES};
use super::monitor::Monitor;
use super::platform::Platform;
use crate::digest;

pub(super) fn tar_of(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, &b"{}"[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

pub(super) fn images_of(directory: &Path) -> Images {
    let mut problems = Vec::new();
    let images = read_images(directory, true, &Platform::new("linux", "x86_64"), &Monitor::idle(), &mut problems);
    assert_eq!(problems, []);
    images
}

/// Creates a layout of one image with this name, and returns the path of its only blob.
pub(super) fn layout_of(directory: &Path, image: &str) -> PathBuf {
    let blob = b"a manifest";
    let hash = digest::of_reader(&blob[..]).unwrap();
    fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
    fs::write(directory.join(LAYOUT), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [{"digest": format!("sha256:{hash}"), "size": 10, "annotations": {NAMES[1]: image}}],
    });
    fs::write(directory.join(INDEX), index.to_string()).unwrap();
    let path = directory.join("blobs/sha256").join(hash);
    fs::write(&path, blob).unwrap();
    path
}
