//! The hooks directory: finds the hooks of each moment and the manifests, and their targets in the container. Runs none.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kubake_contract::{MANIFESTS_DIR, moments};

use super::directory::entries;
use super::packed::{Content, Packed};
use super::problem::{Problem, unreadable};

/// The content of a hooks directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hooks {
    /// The hooks directory on this machine.
    pub(crate) directory: PathBuf,
    /// Files to copy: hooks of the build container into its inbox, hooks of the boot to their final place.
    pub(crate) packed: Vec<Packed>,
    /// Hooks that run on the host. They are not copied, but they are inputs of the bake.
    pub(crate) host: Vec<Packed>,
}

/// Reads a hooks directory, which may be missing unless it is `required`. Targets of bake hooks are below `inbox`, those of
/// boot hooks below `kept`. Appends mistakes to `problems`.
pub(crate) fn read_hooks(
    directory: &Path,
    required: bool,
    inbox: &Path,
    kept: &Path,
    problems: &mut Vec<Problem>,
) -> Hooks {
    let mut hooks = Hooks { directory: directory.to_owned(), ..Hooks::default() };
    for path in entries(directory, required, problems) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (target, packed) = match name.as_str() {
            name if moments::HOST.contains(&name) => (PathBuf::from(name), &mut hooks.host),
            name if moments::BAKE.contains(&name) => (inbox.join(name), &mut hooks.packed),
            MANIFESTS_DIR if path.is_dir() => (inbox.join(MANIFESTS_DIR), &mut hooks.packed),
            name if moments::BOOT.contains(&name) => (kept.join(name), &mut hooks.packed),
            name => {
                // A misspelled moment would otherwise be a hook that never runs.
                let is_hook =
                    path.is_dir() || fs::metadata(&path).is_ok_and(|data| data.permissions().mode() & 0o111 != 0);
                // On some file systems every file is executable; documentation is never a hook.
                if is_hook && !name.starts_with('.') && !name.ends_with(".md") {
                    let all: Vec<&str> = [moments::HOST, moments::BAKE, moments::BOOT].concat();
                    let what = format!(
                        "not a moment at which hooks run; rename it to one of {}, or to {MANIFESTS_DIR}",
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
            let what = format!("not executable, so it would never run; run `chmod +x {}`", path.display());
            problems.push(Problem { path, line: None, what });
        } else {
            pack_hook(path, target, packed, problems);
        }
    }
    hooks
}

/// Collects everything in a directory for the path `target`. Appends mistakes to `problems`.
pub(crate) fn collect_tree(directory: &Path, target: &Path, problems: &mut Vec<Problem>) -> Vec<Packed> {
    let mut packed = Vec::new();
    walk(directory, target, &mut packed, problems);
    packed
}

fn walk(source: &Path, target: &Path, packed: &mut Vec<Packed>, problems: &mut Vec<Problem>) {
    packed.push(Packed { target: target.to_owned(), content: Content::Directory });
    // Hidden files keep a directory in git or belong to an editor; they are not hooks.
    let is_hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    for path in entries(source, true, problems).into_iter().filter(|path| !is_hidden(path)) {
        let target = target.join(path.file_name().unwrap_or_default());
        let is_link = path.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
        match (path.is_dir(), is_link) {
            // The link could lead to a directory above it.
            (true, true) => {
                let what = "a link to a directory; replace it by the directory".to_owned();
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
        Ok(_) => problems.push(problem("not a file; remove it".to_owned())),
        Err(error) => problems.push(problem(unreadable(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::packed::{digest_packed, pack};
    use super::*;

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
        let hooks = read_hooks(directory.path(), true, inbox, Path::new("etc/kubake/hooks"), &mut problems);
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
        read_hooks(directory.path(), true, Path::new("x"), Path::new("y"), &mut problems);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().contains("a link to a directory"), "{}", problems[0]);
    }
}
