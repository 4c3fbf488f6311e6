//! Detects the compression of an archive and checks that it holds images, in one pass.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use super::super::layout;
use super::super::monitor::Monitor;
use super::packing::{GZIP, Packing, ZSTD, open};
use super::tape::{Plain, Unpacked};
use super::walk::{Top, broken, walk};

/// Every compressed archive may unpack to this many bytes.
const SMALL: u64 = 1 << 30;
/// A large archive may unpack to this many times its size. Programs and libraries shrink to a third or a quarter.
const MOST_RATIO: u64 = 200;

/// Why a file is not an archive of images.
#[derive(Debug)]
pub(in super::super) enum Fault {
    /// The file cannot be read.
    Read(io::Error),
    /// No image in it has a name, so no pod could use one.
    Nameless,
    /// The content is wrong; completes "not an image archive:".
    Broken(String),
}

/// Checks an archive. Returns its compression and its size as plain tar.
pub(in super::super) fn inspect(path: &Path, monitor: &Monitor<'_>) -> Result<(Packing, u64), Fault> {
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
        let mut unpacked = Unpacked { inner, count: 0, most, monitor };
        // Reads to the end, which verifies checksums and gives the size.
        let found = walk(&mut unpacked)
            .and_then(|found| io::copy(&mut unpacked, &mut io::sink()).map(|_| found).map_err(|error| broken(&error)));
        (found, unpacked.count)
    };
    match found {
        Ok(Top { manifest: None, index: None }) => {
            Err(Fault::Broken("it has neither `manifest.json` nor `index.json`".to_owned()))
        }
        Ok(top) if is_nameless(&top) => Err(Fault::Nameless),
        Ok(_) => Ok((packing, size)),
        Err(what) => Err(Fault::Broken(what)),
    }
}

/// Whether the lists of images can be parsed and no image in them has a name, as after `docker save IMAGE_ID`.
fn is_nameless(top: &Top) -> bool {
    #[derive(Deserialize)]
    struct Saved {
        #[serde(rename = "RepoTags", default)]
        names: Option<Vec<String>>,
    }
    let saved = top.manifest.as_deref().and_then(|text| serde_json::from_slice::<Vec<Saved>>(text).ok());
    let index_has_name = top.index.as_deref().and_then(layout::index_has_name);
    let saved_has_name =
        saved.map(|images| images.iter().flat_map(|image| &image.names).any(|names| !names.is_empty()));
    let known: Vec<bool> = [saved_has_name, index_has_name].into_iter().flatten().collect();
    !known.is_empty() && !known.contains(&true)
}
