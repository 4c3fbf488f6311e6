//! The files that a Docker client needs for the port with TLS, as one archive to unpack into a `DOCKER_CERT_PATH`.
//! Reads three files of one directory and nothing else; makes no certificate.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// The names that Docker clients look for, and the file modes after unpacking.
const FILES: [(&str, u32); 3] = [("ca.pem", 0o644), ("cert.pem", 0o644), ("key.pem", 0o600)];
/// Each file has about 1 KiB.
const MOST_BYTES: u64 = 1 << 20;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum BundleError {
    /// A file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Most likely another program is writing the file.
    #[error("{} is not a complete PEM file", .path.display())]
    Incomplete { path: PathBuf },
    /// The archive cannot be written.
    #[error("the archive cannot be written")]
    Archive(#[source] io::Error),
    /// The task ended before the archive was complete.
    #[error("the archive was not completed")]
    Task(#[source] tokio::task::JoinError),
}

/// The archive of the files in `directory`.
pub(super) async fn docker_client(directory: &Path) -> Result<Vec<u8>, BundleError> {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || archive(&directory)).await.map_err(BundleError::Task)?
}

fn archive(directory: &Path) -> Result<Vec<u8>, BundleError> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode) in FILES {
        let path = directory.join(name);
        let (bytes, modified) = read(&path).map_err(|source| BundleError::Read { path: path.clone(), source })?;
        if !bytes.starts_with(b"-----BEGIN ") || !bytes.trim_ascii_end().ends_with(b"-----") {
            return Err(BundleError::Incomplete { path });
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_mtime(modified);
        archive.append_data(&mut header, name, bytes.as_slice()).map_err(BundleError::Archive)?;
    }
    archive.into_inner().map_err(BundleError::Archive)
}

/// A file's bytes, and when it was written in seconds since 1970.
fn read(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let modified = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok((bytes, modified))
}
