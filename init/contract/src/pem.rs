//! PEM from users: reads it from a variable or a file, extracts certificates, and writes them in one form. Does not judge
//! what the certificates are good for. No error contains the text that was read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Most bytes of a file. Debian's whole bundle is a fifth of this.
const MOST_BYTES: u64 = 1 << 20;
const CERTIFICATE: &str = "CERTIFICATE";

/// A file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}; give the PEM text itself, or mount a readable file")]
pub struct Unreadable {
    /// Its path, if that is what was given.
    pub path: String,
    #[source]
    pub source: io::Error,
}

/// A text without the certificates that it should have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCertificates {
    /// There is none.
    #[error("there is no certificate in it; it takes one or more in PEM (-----BEGIN CERTIFICATE-----)")]
    None,
    /// Something begins and does not end well.
    #[error("certificate {number} in it is damaged; it takes whole ones in PEM")]
    Damaged {
        /// Which, counted from 1.
        number: usize,
    },
    /// Something that has no business there, such as a key.
    #[error("there is a `{label}` in it; it takes certificates only")]
    Other {
        /// What stands after `BEGIN`.
        label: String,
    },
}

/// PEM as it is, or what the file holds whose path it is.
pub fn text_or_file(value: &str) -> Result<String, Unreadable> {
    if value.contains("-----BEGIN") {
        // CI systems hand variables on with `\n` for a line's end.
        return Ok(value.replace("\\n", "\n"));
    }
    let path = value.trim();
    read(Path::new(path)).map_err(|source| {
        // A key in another form must not end up in a log.
        let path =
            if path.starts_with('/') { path.to_owned() } else { "what is neither PEM nor an absolute path".into() };
        Unreadable { path, source }
    })
}

/// A file's text, as far as anything sensible reaches.
pub fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// All certificates of a text, a block each, without what stands between them.
pub fn certificates(text: &str) -> Result<Vec<String>, NoCertificates> {
    let mut found = Vec::new();
    for pem in Pem::iter_from_buffer(text.as_bytes()) {
        let damaged = NoCertificates::Damaged { number: found.len() + 1 };
        let Ok(pem) = pem else { return Err(damaged) };
        if pem.label != CERTIFICATE {
            return Err(NoCertificates::Other { label: pem.label.escape_default().to_string() });
        }
        if X509Certificate::from_der(&pem.contents).is_err() {
            return Err(damaged);
        }
        found.push(block(CERTIFICATE, &pem.contents));
    }
    if found.is_empty() { Err(NoCertificates::None) } else { Ok(found) }
}

/// As everybody writes it: 64 characters a line.
pub fn block(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut block = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        block.push_str(&String::from_utf8_lossy(line));
        block.push('\n');
    }
    block.push_str(&format!("-----END {label}-----\n"));
    block
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two certificates that signed themselves. Nothing checks how long they are valid.
    pub(crate) const ONE: &str = include_str!("pem/one.crt");
    const OTHER: &str = include_str!("pem/other.crt");

    #[test]
    fn certificates_are_found_between_comments() {
        let (one, other) = (ONE, OTHER);
        let text = format!("# One\n{one}\nand the other:\n{other}");
        assert_eq!(certificates(&text).unwrap(), [one, other]);
    }

    #[test]
    fn what_is_no_certificate_is_told_apart() {
        let (certificate, key) = (ONE, block("PRIVATE KEY", b"not a key"));
        assert_eq!(certificates("").unwrap_err(), NoCertificates::None);
        assert_eq!(certificates("MIIB").unwrap_err(), NoCertificates::None);
        let reported = certificates(&format!("{certificate}{key}")).unwrap_err().to_string();
        assert!(reported.contains("`PRIVATE KEY`"), "{reported}");
        let cut = &certificate[..certificate.len() / 2];
        for broken in [cut.to_owned(), block(CERTIFICATE, b"nonsense")] {
            let reported = certificates(&format!("{certificate}{broken}")).unwrap_err();
            assert_eq!(reported, NoCertificates::Damaged { number: 2 });
        }
    }

    #[test]
    fn a_value_is_the_text_or_the_path_of_it_and_is_never_told() {
        let certificate = ONE;
        assert_eq!(text_or_file(&certificate.replace('\n', "\\n")).unwrap(), certificate);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.crt");
        std::fs::write(&path, certificate).unwrap();
        assert_eq!(text_or_file(path.to_str().unwrap()).unwrap(), certificate);
        let reported = text_or_file("MIIsecret").unwrap_err().to_string();
        assert!(reported.contains("neither PEM nor an absolute path") && !reported.contains("secret"), "{reported}");
    }
}
