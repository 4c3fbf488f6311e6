//! The images directory: finds archives, layouts and lists of images and checks each. Asks no engine.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::archive;
use super::directory::entries;
use super::image_archive::{Archive, Form};
use super::layout;
use super::list::{self, Listed};
use super::monitor::Monitor;
use super::platform::Platform;
use super::problem::{Problem, unreadable};
use super::stream;
use crate::digest;

/// Limit of a list in bytes. A larger file is not a list of names.
const LARGEST_LIST: u64 = 4 << 20;

/// The content of an images directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Images {
    /// Archives and layouts, sorted by name.
    pub(crate) archives: Vec<Archive>,
    /// Images of all lists, each once, in the order of their first appearance.
    pub(crate) listed: Vec<Listed>,
}

/// Reads and checks an images directory, which may be missing unless it is `required`. Appends mistakes to `problems`.
pub(crate) fn read_images(
    directory: &Path,
    required: bool,
    platform: &Platform,
    monitor: &Monitor<'_>,
    problems: &mut Vec<Problem>,
) -> Images {
    let mut images = Images::default();
    for path in entries(directory, required, problems) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || (monitor.is_cancelled)() {
            continue;
        }
        let problem = |what: String| Problem { path: path.clone(), line: None, what };
        let is_archive = archive::SUFFIXES.iter().any(|suffix| name.ends_with(suffix));
        let is_list = name.ends_with(".txt");
        if path.is_dir() {
            if !layout::looks_like_layout(&path) {
                continue;
            }
            (monitor.report)(&format!("checking {name}"));
            match layout::read(&path, monitor) {
                Err(found) => problems.extend(found),
                Ok((members, digest)) => match stream::layout_size(&members) {
                    Err(error) => problems.push(problem(format!("cannot be packed: {error}"))),
                    Ok(size) => images.archives.push(Archive { path, name, digest, size, form: Form::Layout(members) }),
                },
            }
        } else if path.is_file() && is_archive {
            (monitor.report)(&format!("checking {name}"));
            let looked = archive::inspect(&path, monitor).and_then(|(packing, size)| {
                let digest = File::open(&path)
                    .and_then(|file| digest::of_reader(monitor.reader(file)))
                    .map_err(archive::Fault::Read)?;
                Ok(Archive { path: path.clone(), name, digest, size, form: Form::File(packing) })
            });
            match looked {
                Ok(archive) => images.archives.push(archive),
                Err(archive::Fault::Read(error)) => problems.push(problem(unreadable(&error))),
                Err(archive::Fault::Nameless) => problems.push(problem(
                    "names no image, so no pod could use one; save it by name and not by id: `docker save --output \
                     FILE.tar NAME:TAG`"
                        .to_owned(),
                )),
                Err(archive::Fault::Broken(why)) => problems.push(problem(format!(
                    "not an image archive: {why}; create it with `docker save --output FILE.tar IMAGE…`"
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
        } else if path.is_file() && looks_like_archive(&name) {
            let suffixes = archive::SUFFIXES.map(|suffix| format!("*{suffix}")).join(", ");
            problems.push(problem(format!(
                "looks like an archive or a list, and is none of {suffixes} and *.txt; pack it again, give it such a name, or \
                 remove it"
            )));
        } else if (is_archive || is_list) && !path.is_file() {
            problems.push(problem("does not lead to a file; replace or remove it".to_owned()));
        }
    }
    images
}

/// Whether the name is that of an archive or list in a form that is not read, such as `a.tar.xz` or `A.TAR`.
fn looks_like_archive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let known = [".tar", ".txt", ".tgz", ".tzst", ".txz", ".tbz2", ".tbz", ".tlz", ".zip", ".7z"];
    name.contains(".tar.") || known.iter().any(|suffix| name.ends_with(suffix))
}

fn read_list(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LARGEST_LIST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_LIST {
        return Err(io::Error::other("it is too large for a list of images"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::fixtures::{images_of, layout_of, tar_of};
    use super::super::hooks::read_hooks;
    use super::super::problem::Error;
    use super::*;

    fn engine() -> Platform {
        Platform::new("linux", "x86_64")
    }

    fn names(images: &Images) -> Vec<&str> {
        images.archives.iter().map(|archive| archive.name.as_str()).collect()
    }

    #[test]
    fn archives_in_a_form_that_is_not_read_are_noticed() {
        for name in ["a.tar.xz", "a.tar.bz2", "A.TAR", "a.TXT", "a.txz", "a.tar.gz.part"] {
            assert!(looks_like_archive(name), "{name}");
        }
        assert!(!looks_like_archive("README.md") && !looks_like_archive("Makefile"));
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
        layout_of(&path("app"), "docker.io/me/app:1");
        let images = images_of(directory.path());
        let listed: Vec<_> = images.listed.iter().map(|image| (image.reference.as_str(), image.is_local)).collect();
        assert_eq!(listed, [("nginx:1.29", true), ("redis", false), ("r.io:5000/x", false)]);
        assert_eq!(names(&images), ["app", "b.tar"]);
    }

    #[test]
    fn all_mistakes_are_reported_at_once_and_by_name() {
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
        read_images(directory.path(), true, &engine(), &Monitor::idle(), &mut problems);
        read_hooks(&path("hooks"), true, Path::new("x"), Path::new("y"), &mut problems);
        let text = Error::Problems(problems).to_string();
        for wanted in [
            "a.tar`: not an image archive: it is not a tar file; create it with `docker save",
            "b.txt`, line 2: `--not` is not an image reference",
            "c.txt`: cannot be read",
            "d/oci-layout`: is missing",
            "e.tar.zst`: does not lead to a file",
            "hooks/after-cluster`: not executable, so it would never run; run `chmod +x",
            "after-clusters`: not a moment at which hooks run; rename it to one of before-setup, after-setup, before-cluster",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
    }

    #[test]
    fn a_missing_directory_counts_only_where_it_was_asked_for() {
        let missing = Path::new("/nonexistent/images.d");
        let mut problems = Vec::new();
        let found = read_images(missing, false, &engine(), &Monitor::idle(), &mut problems);
        let hooks_found = read_hooks(missing, false, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!((found, hooks_found.packed, problems.len()), (Images::default(), Vec::new(), 0));
        read_images(missing, true, &engine(), &Monitor::idle(), &mut problems);
        read_hooks(missing, true, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!(problems.len(), 2);
    }
}
