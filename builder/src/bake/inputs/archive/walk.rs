//! Checks the headers of a tar file. Trusts nothing in it, and never holds more than a header in memory.

use std::io::{self, Read};
use std::path::{Component, Path};

use super::tape::Tape;

/// Size of a block in a tar file.
const BLOCK: u64 = 512;
/// Limit of an extended header, which holds names and times. A larger one would only exhaust memory.
const LONGEST_HEADER: u64 = 1 << 20;

/// Limit of `manifest.json` and `index.json`. A larger one is not read.
const LONGEST_LIST: u64 = 4 << 20;

/// The files that `docker save` and an OCI layout have at the top.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// The content of `manifest.json`; empty if it is too long to be read.
    pub(super) manifest: Option<Vec<u8>>,
    /// The content of `index.json`, likewise.
    pub(super) index: Option<Vec<u8>>,
}

/// Returns what the archive has at the top; the error says what is wrong. Does not use `tar::Archive`, which allocates as
/// much memory as an extended header says.
pub(super) fn walk(tape: &mut impl Tape) -> Result<Top, String> {
    let mut top = Top::default();
    let mut is_first = true;
    let mut long_name: Option<Vec<u8>> = None;
    let mut long_size: Option<u64> = None;
    loop {
        let mut block = [0; BLOCK as usize];
        let read = match read_block(tape, &mut block) {
            Err(error) if is_first && error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            read => read,
        };
        if !read.map_err(|error| broken(&error))? || block.iter().all(|byte| *byte == 0) {
            return if is_first { Err("it is not a tar file".to_owned()) } else { Ok(top) };
        }
        let header = tar::Header::from_byte_slice(&block);
        if header.cksum().ok() != Some(checksum(&block)) {
            let what = if is_first { "it is not a tar file" } else { "a header in it is damaged" };
            return Err(what.to_owned());
        }
        is_first = false;
        let size = header.entry_size().map_err(|_| "a header in it is damaged".to_owned())?;
        let kind = header.entry_type();
        if kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions()
            || kind.is_gnu_longname()
            || kind.is_gnu_longlink()
        {
            let data = extended(tape, size)?;
            if kind.is_gnu_longname() {
                long_name = Some(data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec());
            } else if kind.is_pax_local_extensions() {
                for record in tar::PaxExtensions::new(&data) {
                    let record = record.map_err(|_| "an extended header in it is damaged".to_owned())?;
                    match record.key() {
                        Ok("path") => long_name = Some(record.value_bytes().to_vec()),
                        Ok("size") => long_size = record.value().ok().and_then(|text| text.parse().ok()),
                        _ => {}
                    }
                }
            }
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let name = String::from_utf8_lossy(&name).into_owned();
        let path = Path::new(&name);
        if path.components().any(|part| matches!(part, Component::ParentDir | Component::RootDir)) {
            return Err(format!("it names `{}`, which leads out of the archive", name.escape_debug()));
        }
        let path = path.strip_prefix(".").unwrap_or(path);
        if kind.is_gnu_sparse() {
            skip_sparse_headers(tape, &block)?;
        }
        let size = if has_content(kind) { long_size.unwrap_or(size) } else { 0 };
        long_size = None;
        let padded = size.checked_next_multiple_of(BLOCK).ok_or("a header in it is damaged")?;
        let list = if path == Path::new("manifest.json") {
            Some(&mut top.manifest)
        } else if path == Path::new("index.json") {
            Some(&mut top.index)
        } else {
            None
        };
        let mut read = 0;
        if let Some(list) = list {
            let list = list.insert(Vec::new());
            if size <= LONGEST_LIST {
                read = tape.by_ref().take(size).read_to_end(list).map_err(|error| broken(&error))? as u64;
                if read < size {
                    return Err("it is truncated".to_owned());
                }
            }
        }
        tape.skip(padded - read).map_err(|error| broken(&error))?;
    }
}

/// Links, directories and devices have no content, even if their headers say so (Go: `isHeaderOnlyType`).
fn has_content(kind: tar::EntryType) -> bool {
    let is_link = kind.is_hard_link() || kind.is_symlink();
    !(is_link || kind.is_dir() || kind.is_fifo() || kind.is_character_special() || kind.is_block_special())
}

/// Skips the blocks between the header of a sparse file of GNU tar and its content. The last byte but a few of each says
/// whether another one follows.
fn skip_sparse_headers(tape: &mut impl Tape, header: &[u8; BLOCK as usize]) -> Result<(), String> {
    let mut has_more = header[482] != 0;
    while has_more {
        let mut block = [0; BLOCK as usize];
        if !read_block(tape, &mut block).map_err(|error| broken(&error))? {
            return Err("it is truncated".to_owned());
        }
        has_more = block[504] != 0;
    }
    Ok(())
}

/// Returns false at the end of the file.
fn read_block(tape: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    let mut filled = 0;
    while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match tape.read(rest) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

fn extended(tape: &mut impl Tape, size: u64) -> Result<Vec<u8>, String> {
    if size > LONGEST_HEADER {
        return Err(format!("it has an extended header of {size} bytes, which is too large for a name"));
    }
    let mut data = Vec::new();
    let count = tape.by_ref().take(size).read_to_end(&mut data).map_err(|error| broken(&error))? as u64;
    if count < size {
        return Err("it is truncated".to_owned());
    }
    tape.skip(size.next_multiple_of(BLOCK) - size).map_err(|error| broken(&error))?;
    Ok(data)
}

/// The sum of the bytes of a header, with the checksum field counted as blanks.
pub(super) fn checksum(block: &[u8]) -> u32 {
    let own = 148..156;
    block.iter().enumerate().map(|(at, byte)| if own.contains(&at) { u32::from(b' ') } else { u32::from(*byte) }).sum()
}

pub(super) fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is truncated".to_owned(),
        _ => format!("it cannot be read to its end ({error})"),
    }
}
