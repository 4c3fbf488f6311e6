//! File operations that the standard library has only in parts. Names no path of its own. Callers describe the failed
//! operation in their errors, except for files that users may mount ([`SharedFileError`]).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What can go wrong with a file that a user may have mounted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharedFileError {
    /// The file cannot be read.
    #[error("cannot read {}; mount a readable file there, or none", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The file cannot be written or removed.
    #[error("cannot write {}; mount a writable file there, or none", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// An absolute path of the container below `root`, which is `/` except in tests.
pub(crate) fn under(root: &Path, path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Reads a text file that a user may have mounted; none where there is no file.
pub(crate) fn read_shared(path: &Path) -> Result<Option<String>, SharedFileError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SharedFileError::Read { path: path.to_owned(), source }),
    }
}

/// Writes a file that has this mode before there is anything in it, with the directories that lead to it.
pub(crate) fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    // The file may be an old one, or the umask an odd one.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)
}

/// Replaces a file in one step: a reader, and the next boot after an interruption, finds it old or new and never half. `sync`
/// gets the new content onto the disk before it takes the file's name. Makes the directories that lead to it.
pub(crate) fn replace(
    path: &Path,
    content: &[u8],
    mode: u32,
    sync: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let fresh = path.with_extension("fresh");
    let replaced = write(&fresh, content, mode).and_then(|()| sync(&fresh)).and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        // It would take space on a full disk.
        let _ = fs::remove_file(&fresh);
    }
    replaced
}

/// Waits until a file or the entries of a directory are on the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a file, link or tree; that there is none is fine. A link is removed, not what it leads to.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns the last `lines` lines of a log, indented, or why it cannot be read. Reads at most 64 KiB.
#[must_use]
pub(crate) fn tail(log: &Path, lines: usize) -> String {
    const LIMIT: u64 = 64 << 10;
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LIMIT)))?;
        let mut bytes = Vec::new();
        file.take(LIMIT).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let all: Vec<&str> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        }
        Err(error) => format!("  ({}: {error})", log.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_given_to_old_files_too() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("below/file");
        for (mode, text) in [(0o644, "long text"), (0o600, "short")] {
            write(&path, text.as_bytes(), mode).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays_and_leaves_nothing_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("below/file");
        replace(&path, b"old", 0o600, sync).unwrap();
        assert!(replace(&path, b"new", 0o600, |_| Err(io::ErrorKind::StorageFull.into())).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_shared_file_that_is_none_is_told_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        assert!(read_shared(&root.path().join("none")).unwrap().is_none());
        let reported = read_shared(root.path()).unwrap_err().to_string();
        assert_eq!(reported, format!("cannot read {}; mount a readable file there, or none", root.path().display()));
    }

    #[test]
    fn files_links_trees_and_nothing_can_be_removed() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("tree/below")).unwrap();
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("tree"), path("link")).unwrap();
        remove(&path("link")).unwrap();
        assert!(path("tree/below").exists(), "what a link leads to stays");
        for name in ["tree", "file", "nothing"] {
            remove(&path(name)).unwrap();
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
        assert!(remove(Path::new("/proc/self/status")).is_err(), "what cannot be removed is an error");
    }
}
