//! The token that guards a container's credentials: what one may look like, where it is read from, and its comparison
//! with what a caller offers. Knows nothing of HTTP, and never prints a token, not even in an error.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::env;

/// Shorter ones are guessed.
const SHORTEST: usize = 8;
/// Longer ones do not fit into the head of a request beside everything else.
const LONGEST: usize = 4096;

/// Why there is no token although one was meant.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Two sources, and nothing says which counts.
    #[error("{} and {} are both set; set only one of them", env::TOKEN, env::TOKEN_FILE)]
    Both,
    /// The file cannot be read.
    #[error("cannot read the token file `{}`", .path.display())]
    Read {
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// What is there is no token.
    #[error("the token in {origin} {unfit}; one is a line of {SHORTEST} to {LONGEST} bytes")]
    Unfit {
        /// The variable or the file.
        origin: String,
        /// What is wrong with it.
        unfit: Unfit,
    },
}

/// What keeps a text from being a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// There is none.
    #[error("is empty")]
    Empty,
    /// Short tokens can be guessed.
    #[error("is shorter than {SHORTEST} bytes")]
    Short,
    /// No request could carry it.
    #[error("is longer than {LONGEST} bytes")]
    Long,
    /// No header could carry it.
    #[error("has a control character in it, such as a line break")]
    Control,
    /// A header loses them.
    #[error("begins or ends with a space")]
    Space,
    /// It is not text.
    #[error("is not UTF-8")]
    Encoding,
}

#[derive(Clone)]
pub struct Token(String);

impl fmt::Debug for Token {
    // A token in a log line is a token lost.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").finish_non_exhaustive()
    }
}

impl Token {
    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        match text.len() {
            0 => Err(Unfit::Empty),
            1..SHORTEST => Err(Unfit::Short),
            length if length > LONGEST => Err(Unfit::Long),
            _ if text.contains(char::is_control) => Err(Unfit::Control),
            _ if text.trim() != text => Err(Unfit::Space),
            _ => Ok(Self(text.to_owned())),
        }
    }

    /// Reads the token from a variable's value or from the file that another one names; none where neither is set. A
    /// variable that is set and empty is a mistake and not "none": a secret that is missing must not open the door.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn from_sources(value: Option<OsString>, file: Option<OsString>) -> Result<Option<Self>, TokenError> {
        let token = match (value, file) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(TokenError::Both),
            (None, Some(path)) => Self::read(Path::new(&path))?,
            (Some(value), None) => value
                .to_str()
                .ok_or(Unfit::Encoding)
                .and_then(Self::parse)
                .map_err(|unfit| TokenError::Unfit { origin: env::TOKEN.to_owned(), unfit })?,
        };
        Ok(Some(token))
    }

    /// Reads the token from a file; line breaks at its end do not count.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let failed = |source| TokenError::Read { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        // Enough to see that it is too long.
        let limit = LONGEST as u64 + 16;
        File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
        std::str::from_utf8(&bytes)
            .map_err(|_| Unfit::Encoding)
            .and_then(|text| Self::parse(text.trim_end_matches(['\r', '\n'])))
            .map_err(|unfit| TokenError::Unfit { origin: format!("`{}`", path.display()), unfit })
    }

    /// Whether `offered` is this token. Always takes the same time: hashes are compared, so that not even the length
    /// shows.
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        let (ours, theirs) = (Sha256::digest(self.0.as_bytes()), Sha256::digest(offered));
        ours.as_slice().ct_eq(theirs.as_slice()).into()
    }

    /// The token itself, for code that passes it on.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error_chain::chain;

    fn reported(value: Option<&str>, file: Option<&Path>) -> String {
        chain(&Token::from_sources(value.map(Into::into), file.map(Into::into)).unwrap_err())
    }

    #[test]
    fn mistakes_are_told_by_their_source_and_never_with_the_token() {
        assert!(Token::from_sources(None, None).unwrap().is_none());
        for (text, end) in [
            ("", "is empty"),
            ("short-1", "is shorter than 8 bytes"),
            ("with\ttab-1", "has a control character in it, such as a line break"),
            ("12345678\n", "has a control character in it, such as a line break"),
            (" 12345678", "begins or ends with a space"),
        ] {
            let advice = "one is a line of 8 to 4096 bytes";
            assert_eq!(reported(Some(text), None), format!("the token in KUBAKE_TOKEN {end}; {advice}"));
        }
        assert!(
            reported(Some(&"x".repeat(5000)), None).starts_with("the token in KUBAKE_TOKEN is longer than 4096 bytes;")
        );
        let both = reported(Some("12345678"), Some(Path::new("x")));
        assert_eq!(both, "KUBAKE_TOKEN and KUBAKE_TOKEN_FILE are both set; set only one of them");
    }

    #[test]
    fn a_file_may_end_with_line_breaks() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        assert!(reported(None, Some(&path)).contains("cannot read the token file `"));
        for text in ["12345678", "12345678\n", "12345678\r\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(Token::from_sources(None, Some(path.clone().into())).unwrap().unwrap().is(b"12345678"));
        }
        for (text, end) in [("\n", "is empty"), ("1234\n5678", "has a control"), ("short", "is shorter")] {
            std::fs::write(&path, text).unwrap();
            assert!(reported(None, Some(&path)).starts_with(&format!("the token in `{}` {end}", path.display())));
        }
        std::fs::write(&path, b"\xff12345678").unwrap();
        assert!(reported(None, Some(&path)).contains("is not UTF-8; "));
        assert!(reported(None, Some(Path::new("/dev/zero"))).contains("is longer than 4096 bytes; "));
    }

    proptest! {
        #[test]
        fn only_the_very_token_is_it_and_debug_output_hides_it(text in "[!-~]{8,40}", other in "\\PC{0,40}") {
            let token = Token::parse(&text).unwrap();
            prop_assert!(token.is(text.as_bytes()));
            prop_assert_eq!(token.is(other.as_bytes()), other == text);
            prop_assert_eq!(format!("{token:?}"), "Token { .. }");
        }
    }
}
