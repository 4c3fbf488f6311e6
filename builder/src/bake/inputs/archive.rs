//! Archives of images: finds out how one is packed and whether it is one at all, by walking through the whole of it once,
//! and reads it as the plain tar that `ctr images import` takes. Trusts nothing in it; never unpacks a file of it, and
//! never holds more of it in memory than a header.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Component, Path};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::Watch;

/// What names of archives end with.
pub(super) const SUFFIXES: [&str; 5] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst"];

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Blocks of a tar file.
const BLOCK: u64 = 512;
/// Extended headers hold names and times; one that is larger only wants our memory.
const LONGEST_HEADER: u64 = 1 << 20;
/// A compressed archive may unpack to this much in any case,
const SMALL: u64 = 1 << 30;
/// and else to this many times its size. Programs and libraries make a third or a quarter.
const MOST_RATIO: u64 = 200;

/// How an archive is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// Why something is no archive.
#[derive(Debug)]
pub(super) enum Fault {
    /// It cannot be read at all.
    Read(io::Error),
    /// What is wrong with it.
    Broken(String),
}

/// Opens an archive as plain tar.
///
/// # Errors
/// When it cannot be opened or its beginning is not what it was.
pub(super) fn open(path: &Path, packing: Packing) -> io::Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(1 << 18, File::open(path)?);
    Ok(match packing {
        Packing::Plain => Box::new(file),
        Packing::Gzip => Box::new(MultiGzDecoder::new(file)),
        Packing::Zstd => Box::new(Zstd { source: file, frame: None }),
    })
}

/// Walks through an archive; answers with its packing and how large it is as plain tar.
pub(super) fn inspect(path: &Path, watch: &Watch<'_>) -> Result<(Packing, u64), Fault> {
    let mut file = File::open(path).map_err(Fault::Read)?;
    let length = file.metadata().map_err(Fault::Read)?.len();
    let mut magic = Vec::new();
    (&mut file).take(ZSTD.len() as u64).read_to_end(&mut magic).map_err(Fault::Read)?;
    file.seek(SeekFrom::Start(0)).map_err(Fault::Read)?;
    if length == 0 {
        return Err(Fault::Broken("it is empty".to_owned()));
    }
    let packing = match magic.as_slice() {
        magic if magic.starts_with(&GZIP) => Packing::Gzip,
        magic if magic == ZSTD => Packing::Zstd,
        _ => Packing::Plain,
    };
    let (found, size) = if packing == Packing::Plain {
        (walk(&mut Plain { file: BufReader::new(file), at: 0, length }), length)
    } else {
        let most = SMALL.max(length.saturating_mul(MOST_RATIO));
        let inner = open(path, packing).map_err(Fault::Read)?;
        let mut unpacked = Unpacked { inner, count: 0, most, watch };
        // To its end, so that its checksums are looked at and its size is known.
        let found = walk(&mut unpacked)
            .and_then(|found| io::copy(&mut unpacked, &mut io::sink()).map(|_| found).map_err(|error| broken(&error)));
        (found, unpacked.count)
    };
    match found {
        Ok(true) => Ok((packing, size)),
        Ok(false) => Err(Fault::Broken("it has neither `manifest.json` nor `index.json`".to_owned())),
        Err(what) => Err(Fault::Broken(what)),
    }
}

fn broken(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends in the middle".to_owned(),
        _ => format!("it cannot be read to its end ({error})"),
    }
}

/// A tar file whose content can be passed over.
trait Tape: Read {
    fn skip(&mut self, count: u64) -> io::Result<()>;
}

struct Plain {
    file: BufReader<File>,
    at: u64,
    length: u64,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Tape for Plain {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let to = self.at.checked_add(count).filter(|to| *to <= self.length).ok_or(io::ErrorKind::UnexpectedEof)?;
        self.at = to;
        match i64::try_from(count) {
            Ok(count) => self.file.seek_relative(count),
            Err(_) => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

struct Unpacked<'a> {
    inner: Box<dyn Read + Send>,
    count: u64,
    most: u64,
    watch: &'a Watch<'a>,
}

impl Read for Unpacked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.go_on()?;
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        if self.count > self.most {
            return Err(io::Error::other(format!("it unpacks to more than {} MiB", self.most >> 20)));
        }
        Ok(count)
    }
}

impl Tape for Unpacked<'_> {
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.take(count), &mut io::sink())?;
        if skipped == count { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Whether one of the files is what `docker save` or an OCI layout has at its top; else what is wrong. By hand and not
/// with `tar::Archive`, which takes as much memory as an extended header says.
fn walk(tape: &mut impl Tape) -> Result<bool, String> {
    let mut found = false;
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
            return if is_first { Err("it is no tar file".to_owned()) } else { Ok(found) };
        }
        let header = tar::Header::from_byte_slice(&block);
        if header.cksum().ok() != Some(checksum(&block)) {
            let what = if is_first { "it is no tar file" } else { "a header in it is damaged" };
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
            return Err(format!("it names `{}`, which leads out of it", name.escape_debug()));
        }
        let path = path.strip_prefix(".").unwrap_or(path);
        found |= path == Path::new("manifest.json") || path == Path::new("index.json");
        // Links and directories have no content, whatever their headers say.
        let size = if kind.is_file() || kind.is_contiguous() { long_size.take().unwrap_or(size) } else { size };
        long_size = None;
        let padded = size.checked_next_multiple_of(BLOCK).ok_or("a header in it is damaged")?;
        tape.skip(padded).map_err(|error| broken(&error))?;
    }
}

/// False at the end.
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
        return Err(format!("it has an extended header of {size} bytes, which is no name"));
    }
    let mut data = Vec::new();
    let count = tape.by_ref().take(size).read_to_end(&mut data).map_err(|error| broken(&error))? as u64;
    if count < size {
        return Err("it ends in the middle".to_owned());
    }
    tape.skip(size.next_multiple_of(BLOCK) - size).map_err(|error| broken(&error))?;
    Ok(data)
}

/// The sum of a header's bytes, its own field counted as blanks.
fn checksum(block: &[u8]) -> u32 {
    let own = 148..156;
    block.iter().enumerate().map(|(at, byte)| if own.contains(&at) { u32::from(b' ') } else { u32::from(*byte) }).sum()
}

/// All frames of a zstd file, with their checksums looked at; the library's own reader knows one frame and no checksum.
struct Zstd<R> {
    source: R,
    frame: Option<FrameDecoder>,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        while !buffer.is_empty() {
            let Some(frame) = &mut self.frame else {
                if self.source.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                let mut frame = FrameDecoder::new();
                match frame.reset(&mut self.source) {
                    Ok(()) => self.frame = Some(frame),
                    Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                        length, ..
                    })) => {
                        let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                        if skipped < u64::from(length) {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                    }
                    Err(error) => return Err(invalid(error)),
                }
                continue;
            };
            while frame.can_collect() == 0 && !frame.is_finished() {
                frame
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBytes(buffer.len()))
                    .map_err(invalid)?;
            }
            let count = frame.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let wanted = frame.get_checksum_from_data();
            if wanted.is_some() && wanted != frame.get_calculated_checksum() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong"));
            }
            self.frame = None;
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::super::tests::tar_of;
    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    /// A header of this kind and size, without the content that should follow.
    fn header(kind: tar::EntryType, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn inspected(bytes: &[u8]) -> Result<(Packing, u64), String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.tar");
        std::fs::write(&path, bytes).unwrap();
        inspect(&path, &Watch::idle()).map_err(|fault| match fault {
            Fault::Broken(what) => what,
            Fault::Read(error) => panic!("{error}"),
        })
    }

    #[test]
    fn archives_are_known_by_what_they_hold() {
        let docker = tar_of(&["x/layer.tar", "manifest.json"]);
        let oci = tar_of(&["./blobs/x", "./index.json"]);
        let size = docker.len() as u64;
        assert_eq!(inspected(&docker), Ok((Packing::Plain, size)));
        assert_eq!(inspected(&gzip(&docker)), Ok((Packing::Gzip, size)));
        assert_eq!(inspected(&zstd(&docker)), Ok((Packing::Zstd, size)));
        assert_eq!(inspected(&oci), Ok((Packing::Plain, oci.len() as u64)));
        assert!(inspected(&tar_of(&["etc/passwd"])).unwrap_err().contains("neither"));
        assert!(inspected(&[b'x'; 2048]).unwrap_err().contains("no tar file"));
        assert!(inspected(&zstd(&[b'x'; 2048])).unwrap_err().contains("no tar file"));
        assert!(inspected(&[]).unwrap_err().contains("empty"));
    }

    #[test]
    fn long_names_and_sizes_beyond_the_header_are_understood() {
        let long = format!("blobs/{}", "x".repeat(200));
        let mut pax = tar::Builder::new(Vec::new());
        // A file of three bytes whose header says none, as writers do beyond 8 GiB.
        pax.append_pax_extensions([("size", &b"3"[..])]).unwrap();
        let mut bytes = pax.get_ref().clone();
        bytes.extend(header(tar::EntryType::Regular, 0));
        bytes.extend([&b"abc"[..], &[0; 509]].concat());
        bytes.extend(tar_of(&[&long, "manifest.json"]));
        assert_eq!(inspected(&bytes), Ok((Packing::Plain, bytes.len() as u64)));
    }

    #[test]
    fn all_parts_of_a_compressed_archive_count() {
        let whole = tar_of(&["x", "manifest.json"]);
        let (one, two) = whole.split_at(700);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        for parts in [[gzip(one), Vec::new(), gzip(two)].concat(), [zstd(one), skippable.to_vec(), zstd(two)].concat()]
        {
            let (packing, size) = inspected(&parts).unwrap();
            assert_eq!(size, whole.len() as u64);
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join("x"), parts).unwrap();
            let mut read = Vec::new();
            open(&directory.path().join("x"), packing).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == whole, "{packing:?}");
        }
    }

    #[test]
    fn what_ends_early_or_was_damaged_is_told() {
        let whole = tar_of(&["x", "manifest.json"]);
        for bytes in [whole[..600].to_vec(), whole[..900].to_vec()] {
            assert!(inspected(&bytes).unwrap_err().contains("ends in the middle"));
        }
        let mut damaged = whole.clone();
        damaged[1024 + 3] ^= 1;
        assert!(inspected(&damaged).unwrap_err().contains("a header in it is damaged"));
        for compress in [gzip, zstd] {
            let packed = compress(&whole);
            assert!(inspected(&packed[..packed.len() - 3]).is_err(), "it is cut off");
            let mut damaged = packed.clone();
            let at = damaged.len() - 2;
            damaged[at] ^= 1;
            assert!(inspected(&damaged).is_err(), "a bit of it is wrong");
        }
    }

    #[test]
    fn a_name_that_leads_out_and_a_header_that_wants_memory_are_refused() {
        let mut bytes = header(tar::EntryType::Regular, 0);
        bytes[..11].copy_from_slice(b"../../etc/x");
        let sum = format!("{:06o}\0 ", checksum(&bytes));
        bytes[148..156].copy_from_slice(sum.as_bytes());
        bytes.extend(tar_of(&["manifest.json"]));
        assert!(inspected(&bytes).unwrap_err().contains("`../../etc/x`, which leads out of it"));
        let huge = header(tar::EntryType::GNULongName, 1 << 40);
        assert!(inspected(&huge).unwrap_err().contains("extended header of 1099511627776 bytes"));
        let huge = header(tar::EntryType::Regular, u64::MAX >> 1);
        assert!(inspected(&huge).unwrap_err().contains("ends in the middle"));
    }

    #[test]
    fn a_bomb_is_given_up() {
        let inner = Box::new(io::repeat(0));
        let mut bomb = Unpacked { inner, count: 0, most: 5 << 20, watch: &Watch::idle() };
        let error = io::copy(&mut bomb, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("unpacks to more than 5 MiB"), "{error}");
    }

    #[test]
    fn whoever_wants_to_stop_need_not_wait_for_the_end() {
        let watch = Watch { say: &|_| (), is_over: &|| true };
        let mut endless = Unpacked { inner: Box::new(io::repeat(0)), count: 0, most: u64::MAX, watch: &watch };
        assert!(io::copy(&mut endless, &mut io::sink()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_it_is_there_is_an_answer(bytes: Vec<u8>, flips in proptest::collection::vec((0_usize..3000, 0_u8..=255), 0..8)) {
            drop(inspected(&bytes));
            for mut damaged in [tar_of(&["x", "manifest.json"]), gzip(&tar_of(&["index.json"])), zstd(&tar_of(&["index.json"]))] {
                for (at, value) in &flips {
                    let at = at % damaged.len();
                    damaged[at] = *value;
                }
                drop(inspected(&damaged));
            }
        }
    }
}
