//! SHA-256 as lowercase hex, of texts and of streams. Owns how several texts become one hash. Opens no file.

use std::io::{self, Read};

use kubake_contract::hex;
use sha2::{Digest, Sha256};

/// Length of a [`short`] digest. 64 bits distinguish the images and settings of one user.
const SHORT_LENGTH: usize = 16;

/// Hashes the parts so that `["ab", "c"]` and `["a", "bc"]` differ: the length of each part goes before it.
#[must_use]
pub(crate) fn of_parts<P: AsRef<str>>(parts: &[P]) -> String {
    let mut hasher = Sha256::new();
    for part in parts.iter().map(AsRef::as_ref) {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hex::encode(&hasher.finalize())
}

/// Hashes everything that the reader returns, as `sha256sum` does.
///
/// # Errors
/// The first error of the reader.
pub(crate) fn of_reader(mut reader: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = reader.read(&mut buffer)?;
        match buffer.get(..count) {
            Some([]) | None => return Ok(hex::encode(&hasher.finalize())),
            Some(bytes) => hasher.update(bytes),
        }
    }
}

/// The start of a digest, for image tags and labels.
#[must_use]
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..SHORT_LENGTH).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_the_digest_that_sha256sum_prints() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of_reader(io::empty()).unwrap(), empty);
        assert_eq!(short(empty), "e3b0c44298fc1c14");
        assert_eq!(short("abc"), "abc");
    }

    #[test]
    fn parts_are_told_apart() {
        assert_ne!(of_parts(&["ab", "c"]), of_parts(&["a", "bc"]));
        assert_ne!(of_parts(&["a"]), of_parts(&["a", ""]));
    }
}
