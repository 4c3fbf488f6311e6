//! Compression of archives, and readers that return plain tar.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::zstd::Zstd;

/// Endings of archive names.
pub(in super::super) const SUFFIXES: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];

pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
pub(super) const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Compression of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Zstd,
}

/// Opens an archive and returns its content as plain tar.
///
/// # Errors
/// If the file cannot be opened.
pub(in super::super) fn open(path: &Path, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(1 << 18, File::open(path)?);
    Ok(match packing {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(Zstd::new(file)),
    })
}
