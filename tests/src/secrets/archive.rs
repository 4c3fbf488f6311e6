//! Walks what `docker save` writes, as a stream: every file of every layer, whether or not a later layer deletes it, and
//! every text of the image's configuration. Knows both forms, OCI's and the older one, and layers with or without gzip.
//! Judges nothing.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};

use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

/// Sees what is in an image, piece by piece.
pub(super) trait Visitor {
    /// A file of a layer; `blob` is the layer's name within the archive, `path` has no leading slash.
    fn file(&mut self, blob: &str, path: &str, content: &[u8]);
    /// A text of a configuration, and where in it that stands, such as `config.Env[2]`.
    fn configuration(&mut self, blob: &str, place: &str, text: &str);
}

/// What an archive says about itself.
#[derive(Debug)]
pub(super) struct Index {
    /// Names of the layers within the archive, from the lowest on.
    pub(super) layers: Vec<String>,
    /// Names of the configurations.
    pub(super) configurations: Vec<String>,
}

/// Shows everything to the visitor.
///
/// # Errors
/// When something that belongs to an image was not seen: then nothing is known about it.
pub(super) fn walk(stream: impl Read, visitor: &mut impl Visitor) -> Result<Index> {
    let mut archive = tar::Archive::new(stream);
    let mut layers = Vec::new();
    let mut documents = BTreeMap::new();
    for entry in archive.entries().context("the image's archive")? {
        let mut entry = entry.context("the image's archive")?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = plain(&entry.path_bytes());
        // What a blob is stands in a file that comes after it, so it is recognised by how it begins.
        let mut head = Vec::new();
        entry.by_ref().take(BLOCK).read_to_end(&mut head).with_context(|| format!("`{name}`"))?;
        let is_gzip = is_gzip(&head);
        let is_tar = is_tar(&head);
        let mut whole = Cursor::new(head).chain(entry);
        if is_gzip {
            walk_layer(MultiGzDecoder::new(whole), &name, visitor).with_context(|| format!("layer `{name}`"))?;
            layers.push(name);
        } else if is_tar {
            walk_layer(whole, &name, visitor).with_context(|| format!("layer `{name}`"))?;
            layers.push(name);
        } else {
            let mut text = Vec::new();
            whole.read_to_end(&mut text).with_context(|| format!("`{name}`"))?;
            documents.insert(name, text);
        }
    }
    // To the very end, so that the writer of the stream does not fail.
    io::copy(&mut archive.into_inner(), &mut io::sink()).context("the image's archive")?;
    let index = index(&documents)?;
    for name in &index.layers {
        ensure!(layers.contains(name), "layer `{name}` is not in the archive, or in an unknown form");
    }
    for name in &index.configurations {
        let text = documents.get(name).with_context(|| format!("the configuration `{name}` is not in the archive"))?;
        let configuration = serde_json::from_slice(text).with_context(|| format!("the configuration `{name}`"))?;
        show(&configuration, String::new(), &mut |place, text| visitor.configuration(name, place, text));
    }
    Ok(index)
}

/// The length of a tar header.
const BLOCK: u64 = 512;

fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b])
}

fn is_tar(head: &[u8]) -> bool {
    let is_empty = head.len() as u64 == BLOCK && head.iter().all(|byte| *byte == 0);
    is_empty || head.get(257..262) == Some(b"ustar")
}

fn walk_layer(stream: impl Read, name: &str, visitor: &mut impl Visitor) -> Result<()> {
    let mut archive = tar::Archive::new(stream);
    let mut content = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        // Directories, links and devices have no content.
        if entry.size() == 0 && !entry.header().entry_type().is_file() {
            continue;
        }
        let path = plain(&entry.path_bytes());
        content.clear();
        entry.read_to_end(&mut content).with_context(|| format!("`{path}`"))?;
        visitor.file(name, &path, &content);
        // Packed files hide what is in them. Some only look as if they were packed; those were seen as they are.
        if is_gzip(&content) {
            if let Ok(unpacked) = unpack(&content) {
                visitor.file(name, &path, &unpacked);
            }
        }
    }
    Ok(())
}

/// A path without what some programs put before it.
fn plain(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.strip_prefix("./").unwrap_or(&path).trim_start_matches('/').to_owned()
}

fn unpack(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    MultiGzDecoder::new(content).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

fn index(documents: &BTreeMap<String, Vec<u8>>) -> Result<Index> {
    let manifest = documents.get("manifest.json").context("this is no image archive: it has no manifest.json")?;
    let manifest: Value = serde_json::from_slice(manifest).context("manifest.json")?;
    let images = manifest.as_array().filter(|images| !images.is_empty()).context("manifest.json names no image")?;
    let mut index = Index { layers: Vec::new(), configurations: Vec::new() };
    for image in images {
        let configuration = image["Config"].as_str().context("an image without a configuration")?;
        index.configurations.push(configuration.to_owned());
        for layer in image["Layers"].as_array().context("an image without layers")? {
            let Some(layer) = layer.as_str() else { bail!("manifest.json names a layer {layer}") };
            index.layers.push(layer.to_owned());
        }
    }
    Ok(index)
}

/// Shows every text, with keys, because variables and labels may be keys.
fn show(value: &Value, place: String, see: &mut impl FnMut(&str, &str)) {
    match value {
        Value::String(text) => see(&place, text),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                show(item, format!("{place}[{index}]"), see);
            }
        }
        Value::Object(items) => {
            for (key, item) in items {
                let dot = if place.is_empty() { "" } else { "." };
                show(item, format!("{place}{dot}{key}"), see);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
