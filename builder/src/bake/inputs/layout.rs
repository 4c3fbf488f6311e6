//! OCI layouts: directories with `oci-layout`, `index.json` and `blobs`, as skopeo and buildx write them. Lists the files of
//! a layout and verifies the digest of every blob. Follows no link in it, so that no other file gets into an image.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::monitor::Monitor;
use super::problem::Problem;
use crate::digest;

pub(super) const LAYOUT: &str = "oci-layout";
pub(super) const INDEX: &str = "index.json";
/// Limit of a description in bytes. A larger one would only exhaust memory.
const LARGEST_DESCRIPTION: u64 = 4 << 20;
/// The only version of layouts.
const VERSION: &str = "1.0.0";
/// Annotations with the name of an image, in the order in which containerd reads them.
pub(super) const NAMES: [&str; 2] = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Path in the layout, with slashes.
    pub(super) name: String,
    /// Path on this machine.
    pub(super) path: PathBuf,
    pub(super) size: u64,
}

#[derive(Deserialize)]
struct LayoutFile {
    #[serde(rename = "imageLayoutVersion")]
    version: String,
}

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    fn name(&self) -> Option<&str> {
        let annotations = self.annotations.as_ref()?;
        NAMES.iter().find_map(|key| annotations.get(*key).map(String::as_str).filter(|name| !name.is_empty()))
    }
}

impl Index {
    /// By containerd's rule that distinguishes a whole name from a tag.
    fn has_whole_name(&self) -> bool {
        self.manifests.iter().filter_map(Descriptor::name).any(|name| name.contains(['/', ':', '@']))
    }
}

/// Whether any image of an `index.json` has a name or at least a tag; none if the text is not an index with images.
pub(super) fn index_has_name(text: &[u8]) -> Option<bool> {
    let index: Index = serde_json::from_slice(text).ok()?;
    (!index.manifests.is_empty()).then(|| index.manifests.iter().any(|descriptor| descriptor.name().is_some()))
}

/// Whether a directory has one of the files of a layout.
pub(super) fn looks_like_layout(directory: &Path) -> bool {
    [LAYOUT, INDEX].iter().any(|name| directory.join(name).symlink_metadata().is_ok())
}

/// Returns the files of a layout in a fixed order and the digest of all, or all mistakes in it.
pub(super) fn read(directory: &Path, monitor: &Monitor<'_>) -> Result<(Vec<Member>, String), Vec<Problem>> {
    let mut reader = Reader { directory, monitor, members: Vec::new(), hashes: Vec::new(), problems: Vec::new() };
    let layout = reader.description::<LayoutFile>(LAYOUT);
    if let Some(other) = layout.map(|layout| layout.version).filter(|version| version != VERSION) {
        reader.problem(LAYOUT, format!("has version {}; only {VERSION} is supported", other.escape_debug()));
    }
    let index = reader.description::<Index>(INDEX);
    let blobs = reader.blobs();
    if let Some(index) = index {
        reader.check_index(&index, &blobs);
    }
    if reader.problems.is_empty() {
        let hash = digest::of_parts(&reader.hashes);
        Ok((reader.members, hash))
    } else {
        Err(reader.problems)
    }
}

struct Reader<'a> {
    directory: &'a Path,
    monitor: &'a Monitor<'a>,
    members: Vec<Member>,
    hashes: Vec<String>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, name: &str, what: impl Into<String>) {
        self.problems.push(Problem { path: self.directory.join(name), line: None, what: what.into() });
    }

    /// The size of a plain file. Anything else is a problem, and `None`.
    fn file(&mut self, name: &str) -> Option<u64> {
        let what = match self.directory.join(name).symlink_metadata() {
            Ok(metadata) if metadata.is_file() => return Some(metadata.len()),
            Ok(metadata) if metadata.is_symlink() => "is a link; replace it by the file".to_owned(),
            Ok(_) => "is not a file; create the layout again".to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                "is missing, and every OCI layout has it; create the layout again".to_owned()
            }
            Err(error) => format!("cannot be read: {error}"),
        };
        self.problem(name, what);
        None
    }

    fn description<T: for<'de> Deserialize<'de>>(&mut self, name: &str) -> Option<T> {
        let size = self.file(name)?;
        if size > LARGEST_DESCRIPTION {
            self.problem(name, format!("has {size} bytes, which is too large for a description of images"));
            return None;
        }
        let path = self.directory.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LARGEST_DESCRIPTION).read_to_end(&mut bytes));
        if let Err(error) = read {
            self.problem(name, format!("cannot be read: {error}"));
            return None;
        }
        self.hashes.push(String::from_utf8_lossy(&bytes).into_owned());
        self.members.push(Member { name: name.to_owned(), path, size: bytes.len() as u64 });
        match serde_json::from_slice(&bytes) {
            Ok(description) => Some(description),
            Err(error) => {
                self.problem(name, format!("cannot be parsed: {error}; create the layout again"));
                None
            }
        }
    }

    /// Verifies all blobs and returns their digests.
    fn blobs(&mut self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for algorithm in self.directory_names("blobs") {
            let length = match algorithm.as_str() {
                "sha256" => 64,
                "sha512" => 128,
                _ => continue,
            };
            let below = format!("blobs/{algorithm}");
            for hex in self.directory_names(&below) {
                let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
                // For example the rest of an interrupted copy, to which nothing refers.
                if hex.len() != length || !hex.bytes().all(is_hex) {
                    continue;
                }
                let name = format!("{below}/{hex}");
                let Some(size) = self.file(&name) else { continue };
                let path = self.directory.join(&name);
                match File::open(&path).and_then(|file| digest::of_reader(self.monitor.reader(file))) {
                    // SHA-512 is rare, and containerd verifies it anyway.
                    Ok(hash) if algorithm == "sha256" && hash != hex => {
                        self.problem(&name, "does not have the digest in its name; create the layout again");
                    }
                    Ok(hash) => {
                        self.hashes.push(hash);
                        self.members.push(Member { name, path, size });
                        found.insert(format!("{algorithm}:{hex}"));
                    }
                    Err(error) => self.problem(&name, format!("cannot be read: {error}")),
                }
            }
        }
        found
    }

    /// The sorted names in a directory.
    fn directory_names(&mut self, name: &str) -> Vec<String> {
        let path = self.directory.join(name);
        if path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            self.problem(name, "is a link; replace it by the directory");
            return Vec::new();
        }
        let entries = fs::read_dir(&path).and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<_>>>()
        });
        match entries {
            Ok(mut names) => {
                names.sort();
                names
            }
            Err(error) => {
                self.problem(name, format!("cannot be read: {error}; create the layout again"));
                Vec::new()
            }
        }
    }

    fn check_index(&mut self, index: &Index, blobs: &BTreeSet<String>) {
        for descriptor in &index.manifests {
            if !blobs.contains(&descriptor.digest) {
                let shown = descriptor.digest.escape_debug();
                self.problem(INDEX, format!("names {shown}, which is not among the blobs; create the layout again"));
            }
        }
        if !index.has_whole_name() {
            let what = format!(
                "names no image; give one a whole name such as `docker.io/me/app:1` in its annotation `{}` \
                 (`skopeo copy … oci:DIRECTORY:docker.io/me/app:1`)",
                NAMES[1]
            );
            self.problem(INDEX, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::fixtures::layout_of;
    use super::*;

    fn problems(directory: &Path) -> String {
        let problems = read(directory, &Monitor::idle()).unwrap_err();
        problems.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn what_belongs_to_a_layout_is_found_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        assert!(!looks_like_layout(directory.path()));
        let blob = layout_of(directory.path(), "docker.io/me/app:1");
        assert!(looks_like_layout(directory.path()));
        fs::write(directory.path().join("notes"), "").unwrap();
        fs::write(directory.path().join("blobs/sha256/half.partial"), "").unwrap();
        let (members, hash) = read(directory.path(), &Monitor::idle()).unwrap();
        let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
        let hex = blob.file_name().unwrap().to_str().unwrap();
        assert_eq!(names, [LAYOUT, INDEX, format!("blobs/sha256/{hex}").as_str()]);
        layout_of(directory.path(), "docker.io/me/app:2");
        assert_ne!(read(directory.path(), &Monitor::idle()).unwrap().1, hash, "another name is another input");
    }

    #[test]
    fn links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let blob = layout_of(directory.path(), "docker.io/me/app:1");
        fs::rename(&blob, directory.path().join("elsewhere")).unwrap();
        symlink(directory.path().join("elsewhere"), &blob).unwrap();
        assert!(problems(directory.path()).contains("is a link; replace it by the file"));
        fs::remove_dir_all(directory.path().join("blobs")).unwrap();
        symlink("/etc", directory.path().join("blobs")).unwrap();
        assert!(problems(directory.path()).contains("blobs`: is a link; replace it by the directory"));
    }

    #[test]
    fn all_mistakes_are_reported_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let blob = layout_of(directory.path(), "1.29");
        fs::write(&blob, "another").unwrap();
        fs::write(directory.path().join(LAYOUT), r#"{"imageLayoutVersion":"2.0.0"}"#).unwrap();
        let text = problems(directory.path());
        for wanted in [
            "has version 2.0.0",
            "does not have the digest in its name",
            "which is not among the blobs",
            "names no image",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        fs::write(directory.path().join(INDEX), "{").unwrap();
        fs::remove_file(directory.path().join(LAYOUT)).unwrap();
        let text = problems(directory.path());
        assert!(text.contains("oci-layout`: is missing") && text.contains("index.json`: cannot be parsed"), "{text}");
    }
}
