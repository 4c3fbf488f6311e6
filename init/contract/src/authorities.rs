//! Certificates of CAs that programs in the container trust beside Debian's: parsed from a variable or a file of PEM.

use std::io;
use std::path::{Path, PathBuf};

use crate::env;
use crate::pem::{self, NoCertificates, Unreadable};

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It names a file that cannot be read.
    #[error("{}", env::EXTRA_CA_CERTS)]
    Read(#[source] Unreadable),
    /// It holds something else.
    #[error("{}", env::EXTRA_CA_CERTS)]
    Certificates(#[source] NoCertificates),
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read `{}`; put a readable file there", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It holds something else.
    #[error("`{}`", path.display())]
    Certificates {
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: NoCertificates,
    },
}

/// Understands the variable: PEM text, or the path of a file with it. Answers with the certificates, a block each.
///
/// # Errors
/// [`RequestError`].
pub fn from_variable(value: Option<String>) -> Result<Vec<String>, RequestError> {
    match value.filter(|value| !value.trim().is_empty()) {
        None => Ok(Vec::new()),
        Some(value) => {
            let text = pem::text_or_file(&value).map_err(RequestError::Read)?;
            pem::certificates(&text).map_err(RequestError::Certificates)
        }
    }
}

/// Reads the certificates of a PEM file, one block each.
///
/// # Errors
/// [`FileError`].
pub fn from_file(path: &Path) -> Result<Vec<String>, FileError> {
    let text = pem::read(path).map_err(|source| FileError::Read { path: path.to_owned(), source })?;
    pem::certificates(&text).map_err(|source| FileError::Certificates { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::error_chain::chain;
    use crate::pem::tests::ONE;

    #[test]
    fn what_is_no_certificate_is_told_with_the_variable() {
        assert!(from_variable(None).unwrap().is_empty() && from_variable(Some(" ".into())).unwrap().is_empty());
        let (certificate, key) = (ONE.to_owned(), pem::block("PRIVATE KEY", b"not a key"));
        assert_eq!(from_variable(Some(certificate.clone())).unwrap(), [certificate]);
        for (value, expected) in [
            ("/nonexistent/ca.pem", "KUBAKE_EXTRA_CA_CERTS: cannot read /nonexistent/ca.pem; give the PEM text itself"),
            ("/dev/null", "KUBAKE_EXTRA_CA_CERTS: there is no certificate in it"),
            (&key, "KUBAKE_EXTRA_CA_CERTS: there is a `PRIVATE KEY` in it"),
        ] {
            let reported = chain(&from_variable(Some(value.to_owned())).unwrap_err());
            assert!(reported.starts_with(expected), "{reported}");
        }
    }

    #[test]
    fn a_file_is_read_for_whoever_hands_it_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let (certificate, key) = (ONE.to_owned(), pem::block("PRIVATE KEY", b"not a key"));
        fs::write(&path, format!("# ours\n{certificate}")).unwrap();
        assert_eq!(from_file(&path).unwrap(), [certificate]);
        fs::write(&path, key).unwrap();
        let reported = chain(&from_file(&path).unwrap_err());
        assert_eq!(
            reported,
            format!("`{}`: there is a `PRIVATE KEY` in it; it takes certificates only", path.display())
        );
        let reported = chain(&from_file(&directory.path().join("none")).unwrap_err());
        assert!(reported.contains("/none`; put a readable file there: "), "{reported}");
    }
}
