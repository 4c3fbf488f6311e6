//! What a user adds to a bake: archives, layouts and lists of images, hooks. Finds and checks all of it before anything
//! long begins, and packs it for the trip into the build container. Talks to no engine.

mod archive;
mod layout;
mod list;
mod stream;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use kubake_init::contract::{MANIFESTS_DIR, moments};
use thiserror::Error;

pub use archive::Packing;
pub use stream::of as stream;

use crate::advice::Advice;
use crate::digest;

/// Lists hold names; one that is larger is something else.
const LARGEST_LIST: u64 = 4 << 20;

/// One thing that is wrong with what the user adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file or directory.
    pub path: PathBuf,
    /// The line, from 1, where it is one's.
    pub line: Option<usize>,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "`{}`, line {line}: {}", self.path.display(), self.what),
            None => write!(formatter, "`{}`: {}", self.path.display(), self.what),
        }
    }
}

/// Why what the user adds cannot be baked in.
#[derive(Debug, Error)]
pub enum Error {
    /// Everything that is wrong.
    #[error("{}", problems_text(.0))]
    Problems(Vec<Problem>),
    /// A file cannot be read any more.
    #[error("read `{}`; bake again", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
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

fn problems_text(problems: &[Problem]) -> String {
    match problems {
        [problem] => problem.to_string(),
        problems => {
            let lines: String = problems.iter().map(|problem| format!("\n  {problem}")).collect();
            format!("{} problems with what is to be baked in:{lines}", problems.len())
        }
    }
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Problems(_) => Some(
                "`images.d/README.md` and `hooks/README.md` say what can be baked in; nothing was begun".to_owned(),
            ),
            _ => None,
        }
    }
}

/// How long work is watched: what it is at, and whether it is still wanted.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Told what the work is at.
    pub say: &'a dyn Fn(&str),
    /// Whether the user wants to stop.
    pub is_over: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Watch<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").finish_non_exhaustive()
    }
}

impl Watch<'_> {
    /// The reader, which fails as soon as the user wants to stop.
    fn over<R: Read>(&self, reader: R) -> Watched<'_, R> {
        Watched { reader, watch: self }
    }

    fn go_on(&self) -> io::Result<()> {
        // Not `Interrupted`, which readers take for a reason to try again.
        if (self.is_over)() { Err(io::Error::other("interrupted")) } else { Ok(()) }
    }

    #[cfg(test)]
    fn idle() -> Self {
        Self { say: &|_| (), is_over: &|| false }
    }
}

struct Watched<'a, R> {
    reader: R,
    watch: &'a Watch<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        self.reader.read(buffer)
    }
}

/// What programs are made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    os: String,
    architecture: String,
}

impl Platform {
    /// From what an engine says; what it does not say is not known.
    #[must_use]
    pub fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_ascii_lowercase(), architecture: architecture_of(architecture) }
    }

    /// Whether what is made for another one runs here, as far as that is known.
    #[must_use]
    pub fn runs(&self, other: &Self) -> bool {
        let fits = |own: &str, other: &str| own.is_empty() || other.is_empty() || own == other;
        fits(&self.os, &other.os) && fits(&self.architecture, &other.architecture)
    }
}

/// In the words of Go, which image references use.
fn architecture_of(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match parts.as_slice() {
            // A variant, such as v8, is of no interest: a machine runs what its engine pulls.
            [os, architecture] | [os, architecture, _] if parts.iter().all(is_word) => Ok(Self::new(os, architecture)),
            _ => Err(format!("`{}` is no platform; write one such as `linux/amd64`", text.escape_debug())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

/// What an archive is before it is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    File(Packing),
    Layout(Vec<layout::Member>),
}

/// Images in a file or a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Where it lies.
    pub path: PathBuf,
    /// Its file name.
    pub name: String,
    /// Hash of its content.
    pub digest: String,
    /// How large it is as plain tar, which is what is copied.
    pub size: u64,
    form: Form,
}

impl Archive {
    /// A plain tar that was just made.
    ///
    /// # Errors
    /// When it is not there.
    pub fn plain(path: PathBuf, name: &str) -> io::Result<Self> {
        let size = path.metadata()?.len();
        Ok(Self { path, name: name.to_owned(), digest: String::new(), size, form: Form::File(Packing::Plain) })
    }
}

/// An image that a list names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As the engine takes it.
    pub reference: String,
    /// Whether it has to be the engine's already.
    pub is_local: bool,
    /// The list.
    pub path: PathBuf,
    /// From 1.
    pub line: usize,
}

impl Listed {
    /// Something that is wrong with it.
    #[must_use]
    pub fn problem(&self, what: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line: Some(self.line), what: what.into() }
    }
}

/// What the images directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Images {
    /// Archives and layouts, by name.
    pub archives: Vec<Archive>,
    /// Images that lists name, each once, in the order of their first appearance.
    pub listed: Vec<Listed>,
}

/// Reads and checks an images directory; where `required` is false it may be missing. What is wrong joins `problems`.
pub fn images(
    directory: &Path,
    required: bool,
    platform: &Platform,
    watch: &Watch<'_>,
    problems: &mut Vec<Problem>,
) -> Images {
    let mut images = Images::default();
    for path in entries(directory, required, problems) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || (watch.is_over)() {
            continue;
        }
        let problem = |what: String| Problem { path: path.clone(), line: None, what };
        let is_archive = archive::SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        let is_list = name.ends_with(".txt");
        if path.is_dir() {
            if !layout::is_one(&path) {
                continue;
            }
            (watch.say)(&format!("looking through {name}"));
            match layout::read(&path, watch) {
                Err(found) => problems.extend(found),
                Ok((members, digest)) => match stream::layout_size(&members) {
                    Err(error) => problems.push(problem(format!("cannot be packed: {error}"))),
                    Ok(size) => images.archives.push(Archive { path, name, digest, size, form: Form::Layout(members) }),
                },
            }
        } else if path.is_file() && is_archive {
            (watch.say)(&format!("looking through {name}"));
            let looked = archive::inspect(&path, watch).and_then(|(packing, size)| {
                let digest = File::open(&path)
                    .and_then(|file| digest::of_reader(watch.over(file)))
                    .map_err(archive::Fault::Read)?;
                Ok(Archive { path: path.clone(), name, digest, size, form: Form::File(packing) })
            });
            match looked {
                Ok(archive) => images.archives.push(archive),
                Err(archive::Fault::Read(error)) => problems.push(problem(unreadable(&error))),
                Err(archive::Fault::Broken(why)) => problems.push(problem(format!(
                    "no image archive: {why}; make it with `docker save --output FILE.tar IMAGE…`"
                ))),
            }
        } else if path.is_file() && is_list {
            match read_list(&path) {
                Err(error) => problems.push(problem(unreadable(&error))),
                Ok(text) => {
                    let (listed, found) = list::parse(&text, &path, platform);
                    problems.extend(found);
                    for image in listed {
                        match images.listed.iter_mut().find(|other| other.reference == image.reference) {
                            Some(other) => other.is_local |= image.is_local,
                            None => images.listed.push(image),
                        }
                    }
                }
            }
        } else if (is_archive || is_list) && !path.is_file() {
            problems.push(problem("leads to no file; put one there or remove it".to_owned()));
        }
    }
    images
}

fn unreadable(error: &io::Error) -> String {
    format!("cannot be read: {error}; make it readable or remove it")
}

fn read_list(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST_LIST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_LIST {
        return Err(io::Error::other("it is no list of images, for its size"));
    }
    Ok(text)
}

/// Everything in a directory, by name.
fn entries(directory: &Path, required: bool, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let problem = |what: String| Problem { path: directory.to_owned(), line: None, what };
    if !directory.is_dir() {
        if required {
            problems.push(problem("no such directory; name one that is there".to_owned()));
        }
        return Vec::new();
    }
    let read = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>());
    match read {
        Ok(mut paths) => {
            paths.sort();
            paths
        }
        Err(error) => {
            problems.push(problem(unreadable(&error)));
            Vec::new()
        }
    }
}

/// A hash of a file's content.
///
/// # Errors
/// When it cannot be read.
pub fn digest_file(path: &Path) -> Result<String, Error> {
    File::open(path).and_then(digest::of_reader).map_err(|source| Error::Read { path: path.to_owned(), source })
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

/// What the hooks directory holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Where it is.
    pub directory: PathBuf,
    /// Hooks of the build container, for its inbox, and hooks of the boot, for where they stay.
    pub packed: Vec<Packed>,
    /// Hooks of the host, which are copied nowhere; a bake is another one when they are.
    pub host: Vec<Packed>,
}

/// Reads a hooks directory; where `required` is false it may be missing. Those of the bake are packed under `inbox`, those
/// of the boot under `kept`. What is wrong joins `problems`.
pub fn hooks(directory: &Path, required: bool, inbox: &Path, kept: &Path, problems: &mut Vec<Problem>) -> Hooks {
    let mut hooks = Hooks { directory: directory.to_owned(), ..Hooks::default() };
    for path in entries(directory, required, problems) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (target, packed) = match name.as_str() {
            name if moments::HOST.contains(&name) => (PathBuf::from(name), &mut hooks.host),
            name if moments::BAKE.contains(&name) => (inbox.join(name), &mut hooks.packed),
            MANIFESTS_DIR if path.is_dir() => (inbox.join(MANIFESTS_DIR), &mut hooks.packed),
            name if moments::BOOT.contains(&name) => (kept.join(name), &mut hooks.packed),
            name => {
                // A name that is a little wrong would else be a hook that never runs.
                let is_hook =
                    path.is_dir() || fs::metadata(&path).is_ok_and(|data| data.permissions().mode() & 0o111 != 0);
                // On some file systems every file is executable; what is written for people is no hook in any case.
                if is_hook && !name.starts_with('.') && !name.ends_with(".md") {
                    let all: Vec<&str> = [moments::HOST, moments::BAKE, moments::BOOT].concat();
                    let what = format!(
                        "no moment at which hooks run; rename it to one of {}, or to {MANIFESTS_DIR}",
                        all.join(", ")
                    );
                    problems.push(Problem { path, line: None, what });
                }
                continue;
            }
        };
        if path.is_dir() {
            walk(&path, &target, packed, problems);
        } else if fs::metadata(&path).is_ok_and(|data| data.permissions().mode() & 0o111 == 0) {
            let what = format!("not executable, so it would never run; `chmod +x {}`", path.display());
            problems.push(Problem { path, line: None, what });
        } else {
            pack_hook(path, target, packed, problems);
        }
    }
    hooks
}

/// Reads a directory that is packed under `target` as it is. What is wrong joins `problems`.
pub fn tree(directory: &Path, target: &Path, problems: &mut Vec<Problem>) -> Vec<Packed> {
    let mut packed = Vec::new();
    walk(directory, target, &mut packed, problems);
    packed
}

fn walk(source: &Path, target: &Path, packed: &mut Vec<Packed>, problems: &mut Vec<Problem>) {
    packed.push(Packed { target: target.to_owned(), content: Content::Directory });
    // Hidden files keep a directory in git or belong to an editor; they are nobody's hooks.
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    for path in entries(source, true, problems).into_iter().filter(|path| !is_hidden(path)) {
        let target = target.join(path.file_name().unwrap_or_default());
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        match (path.is_dir(), is_link) {
            // It could lead to where it lies.
            (true, true) => {
                let what = "a link to a directory; put the directory itself there".to_owned();
                problems.push(Problem { path, line: None, what });
            }
            (true, false) => walk(&path, &target, packed, problems),
            (false, _) => pack_hook(path, target, packed, problems),
        }
    }
}

fn pack_hook(path: PathBuf, target: PathBuf, packed: &mut Vec<Packed>, problems: &mut Vec<Problem>) {
    let problem = |what| Problem { path: path.clone(), line: None, what };
    match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => match File::open(&path) {
            Ok(_) => packed.push(Packed { target, content: Content::File(path) }),
            Err(error) => problems.push(problem(unreadable(&error))),
        },
        Ok(_) => problems.push(problem("no file; remove it".to_owned())),
        Err(error) => problems.push(problem(unreadable(&error))),
    }
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
            Content::Text(text) => digest::of_parts(&[text]),
            Content::File(path) => format!("{:o} {}", mode(path)?, digest_file(path)?),
        });
    }
    Ok(digest::of_parts(&parts))
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
    use super::*;

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

    fn engine() -> Platform {
        Platform::new("linux", "x86_64")
    }

    pub(super) fn images_of(directory: &Path) -> Images {
        let mut problems = Vec::new();
        let images = images(directory, true, &engine(), &Watch::idle(), &mut problems);
        assert_eq!(problems, []);
        images
    }

    fn names(images: &Images) -> Vec<&str> {
        images.archives.iter().map(|archive| archive.name.as_str()).collect()
    }

    #[test]
    fn a_directory_of_images() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("b.tar"), tar_of(&["manifest.json"])).unwrap();
        fs::write(path("a.txt"), "# mine\nnginx:1.29\n\nredis # cache\n").unwrap();
        fs::write(path("c.txt"), "docker://nginx:1.29\nr.io:5000/x\n").unwrap();
        fs::write(path(".hidden.tar"), "").unwrap();
        fs::write(path("README.md"), "").unwrap();
        fs::create_dir(path("unrelated")).unwrap();
        layout::tests::make(&path("app"), "docker.io/me/app:1");
        let images = images_of(directory.path());
        let listed: Vec<_> = images.listed.iter().map(|image| (image.reference.as_str(), image.is_local)).collect();
        assert_eq!(listed, [("nginx:1.29", true), ("redis", false), ("r.io:5000/x", false)]);
        assert_eq!(names(&images), ["app", "b.tar"]);
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_and_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("a.tar"), "notes").unwrap();
        fs::write(path("b.txt"), "fine\n--not\n").unwrap();
        fs::write(path("c.txt"), [0xff, 0xfe]).unwrap();
        fs::create_dir(path("d")).unwrap();
        fs::write(path("d/index.json"), "{}").unwrap();
        std::os::unix::fs::symlink("/nonexistent", path("e.tar.zst")).unwrap();
        fs::create_dir_all(path("hooks/after-clusters")).unwrap();
        fs::write(path("hooks/after-cluster"), "#!/bin/sh\n").unwrap();
        let mut problems = Vec::new();
        images(directory.path(), true, &engine(), &Watch::idle(), &mut problems);
        hooks(&path("hooks"), true, Path::new("x"), Path::new("y"), &mut problems);
        let text = Error::Problems(problems).to_string();
        for wanted in [
            "a.tar`: no image archive: it is no tar file; make it with `docker save",
            "b.txt`, line 2: `--not` is no image reference",
            "c.txt`: cannot be read",
            "d/oci-layout`: is missing",
            "e.tar.zst`: leads to no file",
            "hooks/after-cluster`: not executable, so it would never run; `chmod +x",
            "after-clusters`: no moment at which hooks run; rename it to one of before-setup, after-setup, before-cluster",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn a_missing_directory_counts_only_where_it_was_asked_for() {
        let missing = Path::new("/nonexistent/images.d");
        let mut problems = Vec::new();
        let found = images(missing, false, &engine(), &Watch::idle(), &mut problems);
        let hooks_found = hooks(missing, false, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!((found, hooks_found.packed, problems.len()), (Images::default(), Vec::new(), 0));
        images(missing, true, &engine(), &Watch::idle(), &mut problems);
        hooks(missing, true, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn platforms_are_compared_as_people_write_them() {
        let engine = engine();
        for fine in ["linux/amd64", "linux/x86_64", "Linux/amd64/v2"] {
            assert!(engine.runs(&fine.parse().unwrap()), "{fine}");
        }
        for other in ["linux/arm64", "windows/amd64"] {
            assert!(!engine.runs(&other.parse().unwrap()), "{other}");
        }
        assert!(Platform::new("", "").runs(&"linux/arm64".parse().unwrap()), "an engine that says nothing");
        for wrong in ["linux", "linux/", "a/b/c/d", ""] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn hooks_are_packed_with_their_modes_and_no_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::create_dir_all(path("before-cluster/lib")).unwrap();
        fs::create_dir_all(path("before-setup")).unwrap();
        for hook in ["before-cluster/10-x", "kubernetes-ready", "before-setup/10-host"] {
            fs::write(path(hook), "#!/bin/sh\n").unwrap();
            fs::set_permissions(path(hook), fs::Permissions::from_mode(0o777)).unwrap();
        }
        fs::write(path("README.md"), "").unwrap();
        fs::write(path("before-cluster/lib/data"), "1").unwrap();

        let mut problems = Vec::new();
        let inbox = Path::new("kubake/inbox/hooks");
        let hooks = hooks(directory.path(), true, inbox, Path::new("etc/kubake/hooks"), &mut problems);
        assert_eq!(problems, []);
        let archive = pack(&hooks.packed, tempfile::tempfile().unwrap()).unwrap();
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
                "etc/kubake/hooks/kubernetes-ready 755",
            ]
        );
        assert_eq!(hooks.host.len(), 2, "a directory and the hook in it");
        let first = digest_packed(&hooks.packed).unwrap();
        fs::write(path("before-cluster/lib/data"), "2").unwrap();
        assert_ne!(digest_packed(&hooks.packed).unwrap(), first);
    }

    #[test]
    fn a_hooks_directory_in_a_circle_has_an_end() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("after-cluster")).unwrap();
        std::os::unix::fs::symlink("..", directory.path().join("after-cluster/lib")).unwrap();
        let mut problems = Vec::new();
        hooks(directory.path(), true, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("a link to a directory"), "{}", problems[0]);
    }
}
