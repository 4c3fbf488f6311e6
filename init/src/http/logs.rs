//! Component logs for callers outside: their names, and the tail of one. Opens only regular files directly below its
//! one directory; never follows a symbolic link, never reads more than [`MOST_BYTES`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hyper::body::Bytes;
use nix::fcntl::OFlag;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Lines of a tail without `lines` in the query.
pub(super) const DEFAULT_LINES: usize = 500;
/// The most lines of a tail.
pub(super) const MOST_LINES: usize = 10_000;
/// Bytes that are read from the end of a log.
const MOST_BYTES: u64 = 4 << 20;
/// More names than this are not listed.
const MOST_NAMES: usize = 1_000;
/// Tails in memory at a time, until the last byte is sent: callers may be slow, and share their memory with the
/// cluster.
static TAILS: Semaphore = Semaphore::const_new(16);

/// Why there is no log to show.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// No log has this name.
    #[error("no such log")]
    Unknown,
    /// Too many logs are being read.
    #[error("too many logs are being read; try again")]
    Busy,
    /// The directory cannot be listed.
    #[error("log directory {path} cannot be listed")]
    List {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The log cannot be read.
    #[error("log {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Names of the logs in order; none while the directory does not exist.
pub(super) async fn names(directory: &Path) -> Result<Vec<String>, LogError> {
    let path = directory.to_owned();
    let list = |path: PathBuf| match list(&path) {
        Ok(names) => Ok(names),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(LogError::List { path, source }),
    };
    tokio::task::spawn_blocking(move || list(path))
        .await
        .unwrap_or_else(|error| Err(LogError::List { path: directory.to_owned(), source: error.into() }))
}

/// The last `lines` lines of a log.
pub(super) async fn tail(directory: &Path, name: &str, lines: usize) -> Result<Bytes, LogError> {
    if !is_name(name) || !names(directory).await?.iter().any(|known| known == name) {
        return Err(LogError::Unknown);
    }
    let permit = TAILS.try_acquire().map_err(|_| LogError::Busy)?;
    let path = directory.join(format!("{name}.log"));
    let opened = path.clone();
    let bytes = tokio::task::spawn_blocking(move || read_tail(&opened, lines.min(MOST_LINES)))
        .await
        .unwrap_or_else(|error| Err(error.into()))
        .map_err(|source| LogError::Read { path, source })?;
    Ok(Bytes::from_owner(Tail { bytes, _permit: permit }))
}

/// A tail that releases its permit when it is dropped.
struct Tail {
    bytes: Vec<u8>,
    _permit: SemaphorePermit<'static>,
}

impl AsRef<[u8]> for Tail {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn list(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)?.take(MOST_NAMES) {
        let entry = entry?;
        let file_name = entry.file_name();
        let name = file_name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|name| is_name(name));
        // `file_type` does not follow links.
        if let (Some(name), true) = (name, entry.file_type()?.is_file()) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn read_tail(path: &Path, lines: usize) -> io::Result<Vec<u8>> {
    // Since the listing, the name may have become a link or a pipe: both flags and the check refuse it.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let mut file: File = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let start = metadata.len().saturating_sub(MOST_BYTES);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    let cut = last_lines(&bytes, lines, start > 0);
    bytes.drain(..cut);
    Ok(bytes)
}

/// Where the last `lines` lines begin. When the beginning is missing (`cut`), the first line may be half a line and
/// does not count, unless it is all there is.
fn last_lines(bytes: &[u8], lines: usize, cut: bool) -> usize {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut begin = body.len();
    for _ in 0..lines {
        match body[..begin].iter().rposition(|byte| *byte == b'\n') {
            // `begin` is the line's end when the search goes on, so it points at the newline.
            Some(newline) => begin = newline,
            None if cut && begin < body.len() => return begin + 1,
            None => return 0,
        }
    }
    if begin == body.len() { bytes.len() } else { begin + 1 }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_last_lines_are_counted_from_the_end() {
        let tail = |text: &'static str, lines, cut| &text[last_lines(text.as_bytes(), lines, cut)..];
        assert_eq!(tail("a\nb\nc\n", 2, false), "b\nc\n");
        assert_eq!(tail("a\nb\nc", 2, false), "b\nc");
        assert_eq!(tail("a\nb\n", 9, false), "a\nb\n");
        assert_eq!(tail("a\nb\n", 9, true), "b\n");
        assert_eq!(tail("a\n", 9, true), "a\n");
        assert_eq!(tail("a\n\n\n", 2, false), "\n\n");
        assert_eq!(tail("a\n", 0, false), "");
        assert_eq!(tail("", 5, false), "");
        assert_eq!(tail("\n", 5, false), "\n");
    }

    #[tokio::test]
    async fn only_regular_files_with_a_plain_name_exist() {
        let directory = tempfile::tempdir().unwrap();
        let secret = directory.path().join("secret");
        fs::write(&secret, "key").unwrap();
        let logs = directory.path().join("logs");
        assert_eq!(names(&logs).await.unwrap(), Vec::<String>::new());
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("kubelet.log"), "one\ntwo\n").unwrap();
        fs::write(logs.join("Kubelet.log"), "x").unwrap();
        fs::write(logs.join("notes.txt"), "x").unwrap();
        fs::create_dir(logs.join("directory.log")).unwrap();
        symlink(&secret, logs.join("link.log")).unwrap();
        assert_eq!(names(&logs).await.unwrap(), ["kubelet"]);
        assert_eq!(tail(&logs, "kubelet", 1).await.unwrap(), "two\n");
        for name in ["link", "directory", "notes", "Kubelet", "", ".", "..", "../secret", "kubelet.log", "a\0b", "nil"]
        {
            assert!(matches!(tail(&logs, name, 1).await, Err(LogError::Unknown)), "{name:?}");
        }
        // Also when a file is replaced after the check.
        assert!(read_tail(&logs.join("link.log"), 1).is_err());
        nix::unistd::mkfifo(&logs.join("pipe.log"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(read_tail(&logs.join("pipe.log"), 1).is_err());
    }

    #[test]
    fn a_huge_log_is_read_from_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("huge.log");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        io::Write::write_all(&mut file, b"\nlast\n").unwrap();
        assert_eq!(read_tail(&path, 1).unwrap(), b"last\n");
        assert!(read_tail(&path, 5).unwrap().len() as u64 <= MOST_BYTES);
    }
}
