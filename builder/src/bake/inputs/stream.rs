//! Archives as a tar stream for the build container, generated while it is read, from files that are opened one after the
//! other. Holds no file in memory and writes none.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::archive;
use super::image_archive::{Archive, Form};
use super::layout;

const BLOCK: u64 = 512;
/// Two empty blocks end a tar.
const TRAILER: [u8; 1024] = [0; 1024];

/// A tar stream that holds one archive as a file `name`. `copied` counts the bytes that were read.
///
/// # Errors
/// If the name fits into no header.
pub(crate) fn tar_stream(archive: &Archive, name: &str, copied: Arc<AtomicU64>) -> io::Result<Box<dyn Read + Send>> {
    let content = match &archive.form {
        Form::File(packing) => Piece::Archive(archive.path.clone(), *packing, archive.size),
        Form::Layout(members) => Piece::Stream(Box::new(layout_stream(members)?), archive.size),
    };
    let pieces = [
        Piece::Bytes(header(name, archive.size)?),
        content,
        Piece::Bytes(padding(archive.size)),
        Piece::Bytes(TRAILER.to_vec()),
    ];
    Ok(Box::new(Counted { inner: Chain { pieces: pieces.into(), current: None }, copied }))
}

/// The size of a layout as tar.
pub(super) fn layout_size(members: &[layout::Member]) -> io::Result<u64> {
    let mut size = TRAILER.len() as u64;
    for member in members {
        let header = header(&member.name, member.size)?.len() as u64;
        size += header + member.size + padding(member.size).len() as u64;
    }
    Ok(size)
}

fn layout_stream(members: &[layout::Member]) -> io::Result<Chain> {
    let mut pieces = VecDeque::new();
    for member in members {
        pieces.push_back(Piece::Bytes(header(&member.name, member.size)?));
        pieces.push_back(Piece::File(member.path.clone(), member.size));
        pieces.push_back(Piece::Bytes(padding(member.size)));
    }
    pieces.push_back(Piece::Bytes(TRAILER.to_vec()));
    Ok(Chain { pieces, current: None })
}

/// The header of a file that belongs to root, with the extra header of a long name.
fn header(name: &str, size: u64) -> io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mode(0o644);
    header.set_size(size);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, io::empty())?;
    Ok(builder.get_ref().clone())
}

fn padding(size: u64) -> Vec<u8> {
    vec![0; usize::try_from(size.next_multiple_of(BLOCK) - size).unwrap_or_default()]
}

/// A part of a stream. A file is opened when its turn comes, and must have the size that it had during the check.
enum Piece {
    Bytes(Vec<u8>),
    File(PathBuf, u64),
    Archive(PathBuf, archive::Packing, u64),
    Stream(Box<dyn Read + Send>, u64),
}

impl Piece {
    fn open(self) -> io::Result<Current> {
        let named =
            |path: &Path, error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        Ok(match self {
            Self::Bytes(bytes) => {
                Current { left: bytes.len() as u64, reader: Box::new(io::Cursor::new(bytes)), path: None }
            }
            Self::File(path, size) => {
                // The check has seen a file and not a link.
                let flags = nix::fcntl::OFlag::O_NOFOLLOW.bits();
                let file = File::options().read(true).custom_flags(flags).open(&path);
                let reader = Box::new(file.map_err(|error| named(&path, error))?);
                Current { reader, left: size, path: Some(path) }
            }
            Self::Archive(path, packing, size) => {
                let reader = archive::open(&path, packing).map_err(|error| named(&path, error))?;
                Current { reader, left: size, path: Some(path) }
            }
            Self::Stream(reader, size) => Current { reader, left: size, path: None },
        })
    }
}

struct Current {
    reader: Box<dyn Read + Send>,
    left: u64,
    path: Option<PathBuf>,
}

impl Current {
    fn changed(&self) -> io::Error {
        let what = self.path.as_ref().map_or_else(String::new, |path| format!("`{}` ", path.display()));
        io::Error::other(format!("{what}changed while it was copied; bake again"))
    }

    /// Returns 0 at the expected end; fails if the file has become shorter or longer.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return match self.reader.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(self.changed()),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 {
            return Err(self.changed());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

struct Chain {
    pieces: VecDeque<Piece>,
    current: Option<Current>,
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(current) = &mut self.current {
                let count = current.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
            }
            match self.pieces.pop_front() {
                Some(piece) => self.current = Some(piece.open()?),
                None => {
                    self.current = None;
                    return Ok(0);
                }
            }
        }
    }
}

struct Counted<R> {
    inner: R,
    copied: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.copied.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::super::fixtures::{images_of, layout_of, tar_of};
    use super::*;

    fn unpack(archive: &Archive, name: &str) -> io::Result<Vec<u8>> {
        let copied = Arc::new(AtomicU64::new(0));
        let mut stream = Vec::new();
        tar_stream(archive, name, Arc::clone(&copied))?.read_to_end(&mut stream)?;
        assert_eq!(copied.load(Ordering::Relaxed), stream.len() as u64);
        let mut outer = tar::Archive::new(stream.as_slice());
        let mut entry = outer.entries()?.next().unwrap()?;
        assert_eq!(entry.path()?.to_str(), Some(name));
        assert_eq!((entry.header().uid()?, entry.header().mode()?), (0, 0o644));
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        Ok(content)
    }

    #[test]
    fn a_compressed_archive_arrives_as_plain_tar() {
        let directory = tempfile::tempdir().unwrap();
        let plain = tar_of(&["manifest.json", "layer"]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        fs::write(directory.path().join("a.tar.gz"), gzip.finish().unwrap()).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(plain.as_slice(), ruzstd::encoding::CompressionLevel::Fastest);
        fs::write(directory.path().join("b.tar.zst"), zstd).unwrap();
        fs::write(directory.path().join("c.tar"), &plain).unwrap();
        let images = images_of(directory.path());
        assert_eq!(images.archives.len(), 3);
        for archive in &images.archives {
            let name = format!("10-{}{}", "long".repeat(40), archive.name);
            assert!(unpack(archive, &name).unwrap() == plain, "{}", archive.name);
        }
    }

    #[test]
    fn a_layout_arrives_as_the_tar_of_its_files() {
        let directory = tempfile::tempdir().unwrap();
        let blob = layout_of(&directory.path().join("app"), "docker.io/me/app:1");
        let images = images_of(directory.path());
        let [archive] = images.archives.as_slice() else { panic!("{images:?}") };
        let tar = unpack(archive, "10-app").unwrap();
        assert_eq!(tar.len() as u64, archive.size);
        let mut seen = Vec::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = String::new();
            entry.read_to_string(&mut content).unwrap();
            seen.push((entry.path().unwrap().display().to_string(), content));
        }
        let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
        let hex = blob.file_name().unwrap().to_str().unwrap();
        assert_eq!(names, ["oci-layout", "index.json", format!("blobs/sha256/{hex}").as_str()]);
        assert_eq!(seen[2].1, "a manifest");
    }

    #[test]
    fn a_file_that_changes_is_reported_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.tar");
        let whole = tar_of(&["manifest.json"]);
        fs::write(&path, &whole).unwrap();
        let archive = images_of(directory.path()).archives.remove(0);
        for changed in [&whole[..512], &[whole.as_slice(), b"more"].concat()] {
            fs::write(&path, changed).unwrap();
            let error = unpack(&archive, "x").unwrap_err().to_string();
            assert!(error.contains("a.tar` changed while it was copied; bake again"), "{error}");
        }
    }
}
