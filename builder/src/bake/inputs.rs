//! What a user adds to a bake: archives and lists of images, hooks. Finds and checks it before anything long begins,
//! and packs it for the trip into the build container. Talks to no engine.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// Moments of a bake at which hooks run; each is a directory of the hooks directory.
pub const MOMENTS: [&str; 2] = ["before-cluster", "after-cluster"];

/// What is wrong with what the user adds.
#[derive(Debug, Error)]
pub enum Error {
    /// A file or directory cannot be read.
    #[error("read `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file is called an archive and is none.
    #[error("`{}` is no image archive: {why}", .path.display())]
    NoArchive {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A line of a list is no image.
    #[error("`{}`, line {line}: `{text}` is no image reference", .path.display())]
    NoReference {
        /// The list.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// A directory that was asked for is not there.
    #[error("`{}` is no directory", .path.display())]
    NoDirectory {
        /// Which.
        path: PathBuf,
    },
    /// A file or directory cannot be packed.
    #[error("pack `{}`", .path.display())]
    Pack {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// What the user can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoArchive { .. } => Some("make it with `docker save --output FILE.tar IMAGE…`".to_owned()),
            Self::NoReference { .. } => {
                Some("write one image a line, such as `nginx:1.29`; `#` begins a comment".to_owned())
            }
            _ => None,
        }
    }
}

/// An archive of images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Hash of its content.
    pub digest: String,
}

/// What the images directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Archives, by name.
    pub archives: Vec<Archive>,
    /// Images that lists name, each once, in the order of their first appearance.
    pub references: Vec<String>,
}

/// Reads and checks an images directory; where `required` is false it may be missing.
///
/// # Errors
/// When something in it is not what its name says.
pub fn images(directory: &Path, required: bool) -> Result<Images, Error> {
    let mut images = Images::default();
    for path in entries(directory, required)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_file() || name.starts_with('.') {
            continue;
        }
        if [".tar", ".tar.gz", ".tgz"].iter().any(|suffix| name.ends_with(suffix)) {
            check_archive(&path)?;
            let digest = digest_file(&path)?;
            images.archives.push(Archive { path, name, digest });
        } else if name.ends_with(".txt") {
            let text = fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
            for reference in parse_list(&text, &path)? {
                if !images.references.contains(&reference) {
                    images.references.push(reference);
                }
            }
        }
    }
    Ok(images)
}

fn entries(directory: &Path, required: bool) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Read { path: directory.to_owned(), source };
    if !directory.is_dir() {
        return if required { Err(Error::NoDirectory { path: directory.to_owned() }) } else { Ok(Vec::new()) };
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn parse_list(text: &str, path: &Path) -> Result<Vec<String>, Error> {
    let mut references = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let reference = line.split('#').next().unwrap_or_default().trim();
        if reference.is_empty() {
            continue;
        }
        // The engine decides what a reference is; this is for lines that are obviously something else, and for what
        // would be taken for an option.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@".contains(&byte);
        if !reference.bytes().all(plain) || reference.starts_with('-') {
            return Err(Error::NoReference { path: path.to_owned(), line: index + 1, text: reference.to_owned() });
        }
        references.push(reference.to_owned());
    }
    Ok(references)
}

/// Looks into an archive for what `docker save` or an OCI layout has at its top.
fn check_archive(path: &Path) -> Result<(), Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let no_archive = |why: String| Error::NoArchive { path: path.to_owned(), why };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut magic = [0; 2];
    let count = file.read(&mut magic).map_err(unreadable)?;
    if count < magic.len() {
        return Err(no_archive("it is empty".to_owned()));
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let found = if magic == [0x1f, 0x8b] {
        let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
        archive.entries().and_then(has_index)
    } else {
        let mut archive = tar::Archive::new(BufReader::new(file));
        archive.entries_with_seek().and_then(has_index)
    };
    match found {
        Ok(true) => Ok(()),
        Ok(false) => Err(no_archive("it has neither `manifest.json` nor `index.json`".to_owned())),
        Err(error) => Err(no_archive(format!("it is no tar file ({error})"))),
    }
}

fn has_index<R: Read>(entries: tar::Entries<'_, R>) -> io::Result<bool> {
    for entry in entries {
        let entry = entry?;
        let path = entry.path()?;
        let path = path.strip_prefix(".").unwrap_or(&path);
        if path == Path::new("manifest.json") || path == Path::new("index.json") {
            return Ok(true);
        }
    }
    Ok(false)
}

fn digest_file(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer).map_err(unreadable)?;
        match buffer.get(..count) {
            Some([]) | None => return Ok(hex(&hasher.finalize())),
            Some(bytes) => hasher.update(bytes),
        }
    }
}

/// A hash of texts that are told apart from each other.
#[must_use]
pub fn digest(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One file of a tar stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Path in the container, without its leading slash.
    pub target: PathBuf,
    /// What it is.
    pub content: Content,
}

/// What a tar stream holds at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file of this content, mode 0644.
    Text(String),
    /// A copy of a file, with its mode.
    File(PathBuf),
}

/// The hooks of a hooks directory, packed under `target`; where `required` is false the directory may be missing.
///
/// # Errors
/// When something cannot be read.
pub fn hooks(directory: &Path, required: bool, target: &Path) -> Result<Vec<Packed>, Error> {
    entries(directory, required)?;
    let mut packed = Vec::new();
    for moment in MOMENTS {
        let source = directory.join(moment);
        if source.is_dir() {
            walk(&source, &target.join(moment), &mut packed)?;
        }
    }
    Ok(packed)
}

fn walk(source: &Path, target: &Path, packed: &mut Vec<Packed>) -> Result<(), Error> {
    packed.push(Packed { target: target.to_owned(), content: Content::Directory });
    // Hidden files keep a directory in git or belong to an editor; they are nobody's hooks.
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    for path in entries(source, true)?.into_iter().filter(|path| !is_hidden(path)) {
        let target = target.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            walk(&path, &target, packed)?;
        } else {
            packed.push(Packed { target, content: Content::File(path) });
        }
    }
    Ok(())
}

/// A hash of everything that is packed.
///
/// # Errors
/// When a file cannot be read.
pub fn digest_packed(packed: &[Packed]) -> Result<String, Error> {
    let mut parts = Vec::new();
    for item in packed {
        parts.push(item.target.to_string_lossy().into_owned());
        parts.push(match &item.content {
            Content::Directory => "directory".to_owned(),
            Content::Text(text) => digest(&[text]),
            Content::File(path) => format!("{:o} {}", mode(path)?, digest_file(path)?),
        });
    }
    Ok(digest(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
}

fn mode(path: &Path) -> Result<u32, Error> {
    let metadata = fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    Ok(metadata.permissions().mode() & 0o755)
}

/// Writes a tar stream that `docker cp - CONTAINER:/` unpacks; everything in it belongs to root.
///
/// # Errors
/// When something cannot be read or written.
pub fn pack(packed: &[Packed], archive: File) -> Result<File, Error> {
    let mut builder = tar::Builder::new(archive);
    for item in packed {
        let failed = |source| Error::Pack { path: item.target.clone(), source };
        let mut header = tar::Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        match &item.content {
            Content::Directory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                builder.append_data(&mut header, &item.target, io::empty()).map_err(failed)?;
            }
            Content::Text(text) => {
                header.set_mode(0o644);
                header.set_size(text.len() as u64);
                builder.append_data(&mut header, &item.target, text.as_bytes()).map_err(failed)?;
            }
            Content::File(path) => {
                let unreadable = |source| Error::Read { path: path.clone(), source };
                let file = File::open(path).map_err(unreadable)?;
                let size = file.metadata().map_err(unreadable)?.len();
                header.set_mode(mode(path)?);
                header.set_size(size);
                // A file that grows meanwhile must not spoil the entries after it.
                builder.append_data(&mut header, &item.target, file.take(size)).map_err(failed)?;
            }
        }
    }
    let unfinished = |source| Error::Pack { path: PathBuf::from("/"), source };
    let mut archive = builder.into_inner().map_err(unfinished)?;
    archive.seek(SeekFrom::Start(0)).map_err(unfinished)?;
    Ok(archive)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tar_of(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(2);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &b"{}"[..]).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn archives_are_known_by_what_they_hold() {
        let directory = tempfile::tempdir().unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar_of(&["blobs/x", "index.json"])).unwrap();
        let cases: [(&str, Vec<u8>, Option<&str>); 6] = [
            ("a.tar", tar_of(&["x/layer.tar", "manifest.json"]), None),
            ("b.tar.gz", gzip.finish().unwrap(), None),
            ("c.tar", tar_of(&["./manifest.json"]), None),
            ("d.tar", tar_of(&["etc/passwd"]), Some("neither")),
            ("e.tar", vec![b'x'; 2048], Some("no tar file")),
            ("f.tar", Vec::new(), Some("empty")),
        ];
        for (name, bytes, wrong) in cases {
            let path = directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            match (check_archive(&path), wrong) {
                (Ok(()), None) => {}
                (Err(error), Some(wrong)) => {
                    let text = error.to_string();
                    assert!(text.contains(wrong) && text.contains(name), "{text}");
                }
                (outcome, _) => panic!("{name}: {outcome:?}"),
            }
        }
    }

    #[test]
    fn a_directory_of_images() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("b.tar"), tar_of(&["manifest.json"])).unwrap();
        fs::write(directory.path().join("a.txt"), "# mine\nnginx:1.29\n\nredis # cache\n").unwrap();
        fs::write(directory.path().join("c.txt"), "nginx:1.29\nr.io:5000/x@sha256:00\n").unwrap();
        fs::write(directory.path().join(".hidden.tar"), "").unwrap();
        fs::write(directory.path().join("README.md"), "").unwrap();
        let images = images(directory.path(), true).unwrap();
        assert_eq!(images.references, ["nginx:1.29", "redis", "r.io:5000/x@sha256:00"]);
        assert_eq!(images.archives.iter().map(|archive| archive.name.as_str()).collect::<Vec<_>>(), ["b.tar"]);
    }

    #[test]
    fn a_missing_directory_counts_only_where_it_was_asked_for() {
        let missing = Path::new("/nonexistent/images.d");
        assert_eq!(images(missing, false).unwrap(), Images::default());
        assert!(matches!(images(missing, true), Err(Error::NoDirectory { .. })));
        assert_eq!(hooks(missing, false, Path::new("x")).unwrap(), []);
    }

    #[test]
    fn a_list_with_something_else_in_it() {
        for text in ["ok\n--privileged\n", "ok\ntwo words\n"] {
            let error = parse_list(text, Path::new("list.txt")).unwrap_err();
            assert!(error.to_string().contains("`list.txt`, line 2"), "{error}");
        }
    }

    #[test]
    fn hooks_are_packed_with_their_modes_and_no_owner() {
        let directory = tempfile::tempdir().unwrap();
        let before = directory.path().join("before-cluster/lib");
        fs::create_dir_all(&before).unwrap();
        fs::create_dir_all(directory.path().join("other")).unwrap();
        let hook = directory.path().join("before-cluster/10-x");
        fs::write(&hook, "#!/bin/sh\n").unwrap();
        fs::write(before.join("data"), "1").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o777)).unwrap();

        let packed = hooks(directory.path(), true, Path::new("kubake/inbox/hooks")).unwrap();
        let archive = pack(&packed, tempfile::tempfile().unwrap()).unwrap();
        let mut seen = Vec::new();
        for entry in tar::Archive::new(archive).entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            seen.push(format!("{} {:o}", entry.path().unwrap().display(), header.mode().unwrap()));
        }
        assert_eq!(
            seen,
            [
                "kubake/inbox/hooks/before-cluster 755",
                "kubake/inbox/hooks/before-cluster/10-x 755",
                "kubake/inbox/hooks/before-cluster/lib 755",
                "kubake/inbox/hooks/before-cluster/lib/data 644",
            ]
        );
        let first = digest_packed(&packed).unwrap();
        fs::write(before.join("data"), "2").unwrap();
        assert_ne!(digest_packed(&packed).unwrap(), first);
    }
}
