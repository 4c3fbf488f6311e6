//! Finds text in bytes, and what is written in PEM or base64 there. Knows no rule about what may be where.
//!
//! An image is most of a gigabyte and tests are built without optimisation, where a loop over its bytes takes minutes.
//! So the standard library, which is always optimised, looks for one byte of a text that is rare, and only where that
//! byte is anything is compared.

use std::io::BufRead;

use base64::Engine;
use base64::alphabet::{self, Alphabet};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// A text that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needle {
    text: &'static [u8],
    /// Which of its bytes is looked for first.
    rare: usize,
}

impl Needle {
    /// A needle whose byte at index `rare` is the one that is seldom.
    pub(super) const fn new(text: &'static str, rare: usize) -> Self {
        Self { text: text.as_bytes(), rare }
    }

    pub(super) const fn len(self) -> usize {
        self.text.len()
    }

    /// Where it begins, each time.
    pub(super) fn offsets(self, haystack: &[u8]) -> impl Iterator<Item = usize> {
        let mut from = 0;
        std::iter::from_fn(move || {
            loop {
                let byte = next_byte(haystack, from, *self.text.get(self.rare)?)?;
                from = byte + 1;
                let Some(start) = byte.checked_sub(self.rare) else { continue };
                if haystack.get(start..).is_some_and(|rest| rest.starts_with(self.text)) {
                    return Some(start);
                }
            }
        })
    }

    /// Whether it is anywhere.
    pub(super) fn is_in(self, haystack: &[u8]) -> bool {
        self.offsets(haystack).next().is_some()
    }
}

fn next_byte(haystack: &[u8], from: usize, byte: u8) -> Option<usize> {
    let mut rest = haystack.get(from..)?;
    // The C library's `memchr` behind a safe name.
    let last = from + rest.skip_until(byte).ok()?.checked_sub(1)?;
    (haystack.get(last) == Some(&byte)).then_some(last)
}

/// What stands between `-----BEGIN` and `-----END`.
#[derive(Debug)]
pub(super) struct Pem<'a> {
    /// The byte at which it begins.
    pub(super) offset: usize,
    /// What it says it is, such as `CERTIFICATE`.
    pub(super) label: &'a str,
    pub(super) content: Vec<u8>,
    /// Whether it has headers, as keys that are encrypted in the old way have.
    has_headers: bool,
    /// Whether the end that belongs to it follows.
    pub(super) is_whole: bool,
}

const BEGIN: Needle = Needle::new("-----BEGIN ", 7);
const END: Needle = Needle::new("-----END ", 7);
const DASHES: &str = "-----";
/// No key and no certificate in use is shorter.
const SHORTEST: usize = 40;

impl<'a> Pem<'a> {
    /// All blocks that begin somewhere in these bytes, whether or not they are real.
    pub(super) fn all(bytes: &'a [u8]) -> impl Iterator<Item = Self> {
        BEGIN.offsets(bytes).filter_map(|offset| Self::at(bytes, offset))
    }

    fn at(bytes: &'a [u8], offset: usize) -> Option<Self> {
        let label = bytes.get(offset + BEGIN.len()..)?;
        let length = label.iter().take(64).position(|byte| *byte == b'-')?;
        let (label, rest) = label.split_at_checked(length)?;
        let label = std::str::from_utf8(label).ok()?;
        let mut rest = rest.strip_prefix(DASHES.as_bytes())?;
        let mut has_headers = false;
        while let Some(after) = header(rest) {
            has_headers = true;
            rest = after;
        }
        let (text, rest) = base64_run(rest);
        let is_whole = rest.starts_with(format!("-----END {label}{DASHES}").as_bytes());
        Some(Self { offset, label, content: decode(&text, &alphabet::STANDARD), has_headers, is_whole })
    }

    /// Whether there is something in it that a program would take for what the label says. Documentation has dots in
    /// its place, a placeholder has something else, and programs that read and write PEM hold nothing but the lines
    /// around it.
    pub(super) fn is_real(&self) -> bool {
        let is_structure = self.content.first() == Some(&0x30) && is_length(self.content.get(1..6).unwrap_or_default());
        let is_known = is_structure
            || self.content.starts_with(b"openssh-key-v1\0")
            || self.has_headers
            || self.label.ends_with("BLOCK");
        is_known && self.content.len() >= SHORTEST
    }

    /// Whether it is a private key of any kind.
    pub(super) fn is_private_key(&self) -> bool {
        self.label.ends_with("PRIVATE KEY") || self.label.ends_with("PRIVATE KEY BLOCK")
    }

    /// Whether it establishes trust: a certificate, or a public key that signatures are checked with.
    pub(super) fn is_trust(&self) -> bool {
        self.is_certificate() || self.label.ends_with("PUBLIC KEY")
    }

    /// Whether it is a certificate.
    pub(super) fn is_certificate(&self) -> bool {
        ["CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE"].contains(&self.label)
    }
}

/// Whether DER could say so how long a structure is that is no smaller than a key.
fn is_length(bytes: &[u8]) -> bool {
    match bytes {
        [first, ..] if *first < 0x80 => usize::from(*first) >= SHORTEST - 2,
        [0x81, length, ..] => *length >= 0x80,
        [0x82, high, ..] => *high > 0,
        _ => false,
    }
}

/// Skips a line such as `Proc-Type: 4,ENCRYPTED`.
fn header(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.trim_ascii_start();
    let end = bytes.iter().take(128).position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    let name = line.split(|byte| *byte == b':').next().filter(|name| name.len() < line.len())?;
    name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-').then_some(rest)
}

/// Where the end of a PEM block stands whose beginning is gone, as pages of a database leave it that were used again:
/// offset and label, if what stands before it is the end of a content.
pub(super) fn orphaned_ends(bytes: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    END.offsets(bytes).filter_map(|offset| {
        let label = bytes.get(offset + END.len()..)?;
        let length = label.iter().take(64).position(|byte| *byte == b'-')?;
        let label = std::str::from_utf8(label.get(..length)?).ok()?;
        let before = bytes.get(..offset)?;
        let is_content = |byte: u8| is_base64(byte) || byte == b'=' || byte.is_ascii_whitespace();
        let run = before.iter().rev().take_while(|byte| is_content(**byte)).count();
        let (head, content) = before.split_at_checked(offset - run)?;
        // A beginning in front of it makes it a block like any other, which is judged by its content.
        let is_orphan = !head.ends_with(DASHES.as_bytes());
        let mut distinct: Vec<u8> = content.iter().copied().filter(|byte| is_base64(*byte)).collect();
        let is_long = distinct.len() >= 16;
        distinct.sort_unstable();
        distinct.dedup();
        // A filler repeats itself, a signature does not.
        (is_orphan && is_long && distinct.len() >= 8).then_some((offset, label))
    })
}

/// Beginnings of what is worth decoding, in base64: the index that is rare, and by how many bytes a text begins before
/// the beginning of a group of four.
const ENCODED: [(Needle, usize); 5] = [
    // `-----BEGIN `, at each of the three places at which it can lie in a group.
    (Needle::new("LS0tLS1CRUdJTi", 13), 0),
    (Needle::new("0tLS0tQkVHSU4g", 6), 2),
    (Needle::new("tLS0tLUJFR0lOI", 5), 3),
    // `eyJhbGci`, a token's beginning.
    (Needle::new("ZXlKaGJHY2lP", 0), 0),
    // `{"auths":`, the beginning of credentials of registries.
    (Needle::new("eyJhdXRocyI6", 2), 0),
];

/// Everything in base64 that begins like something worth looking at: where it begins, and decoded.
pub(super) fn encoded(bytes: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    ENCODED.iter().flat_map(move |(needle, before)| {
        needle.offsets(bytes).filter_map(move |offset| {
            let (text, _) = base64_run(bytes.get(offset.checked_sub(*before)?..)?);
            Some((offset, decode(&text, &alphabet::STANDARD)))
        })
    })
}

/// Whether it is a character of base64.
pub(super) const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// The base64 at the beginning, without what breaks its lines (also escaped, as in JSON), and what follows it.
fn base64_run(bytes: &[u8]) -> (Vec<u8>, &[u8]) {
    let mut text = Vec::new();
    let mut rest = bytes;
    loop {
        rest = rest.trim_ascii_start();
        match rest {
            // More than one backslash, where JSON holds JSON.
            [b'\\', after @ ..] if after.starts_with(b"\\") => rest = after,
            [b'\\', b'n' | b'r' | b't', after @ ..] | [b'=', after @ ..] => rest = after,
            [first, after @ ..] if is_base64(*first) => {
                text.push(*first);
                rest = after;
            }
            _ => return (text, rest),
        }
    }
}

/// The base64url at the beginning, and what follows it.
pub(super) fn base64url_run(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')).count();
    bytes.split_at(length)
}

/// Decodes base64url without padding.
pub(super) fn decode_url(text: &[u8]) -> Vec<u8> {
    decode(text, &alphabet::URL_SAFE)
}

/// As much of it as is complete.
fn decode(text: &[u8], alphabet: &Alphabet) -> Vec<u8> {
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    // One character alone is no byte.
    let length = if text.len() % 4 == 1 { text.len() - 1 } else { text.len() };
    GeneralPurpose::new(alphabet, lenient).decode(text.get(..length).unwrap_or_default()).unwrap_or_default()
}
