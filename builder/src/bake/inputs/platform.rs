//! Platforms of images, such as `linux/amd64`. Pure.

use std::fmt;
use std::str::FromStr;

/// Operating system and architecture, in the names of Go, which image references use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
}

impl Platform {
    /// An empty part is unknown, and fits every other.
    #[must_use]
    pub(crate) fn new(os: &str, architecture: &str) -> Self {
        Self { os: os.to_ascii_lowercase(), architecture: architecture_of(architecture) }
    }

    /// Whether programs for the other platform run on this one. Unknown parts do not count.
    #[must_use]
    pub(crate) fn runs(&self, other: &Self) -> bool {
        let fits = |own: &str, other: &str| own.is_empty() || other.is_empty() || own == other;
        fits(&self.os, &other.os) && fits(&self.architecture, &other.architecture)
    }
}

/// The name that Go has for an architecture.
fn architecture_of(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split('/').collect();
        let is_word =
            |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        match parts.as_slice() {
            // A variant such as `v8` is ignored: the engine pulls one that the machine runs.
            [os, architecture] | [os, architecture, _] if parts.iter().all(is_word) => Ok(Self::new(os, architecture)),
            _ => Err(format!("`{}` is not a platform; write one such as `linux/amd64`", text.escape_debug())),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_compared_as_people_write_them() {
        let engine = Platform::new("linux", "x86_64");
        for fine in ["linux/amd64", "linux/x86_64", "Linux/amd64/v2"] {
            assert!(engine.runs(&fine.parse().unwrap()), "{fine}");
        }
        for other in ["linux/arm64", "windows/amd64"] {
            assert!(!engine.runs(&other.parse().unwrap()), "{other}");
        }
        assert!(Platform::new("", "").runs(&"linux/arm64".parse().unwrap()), "an engine that says nothing");
        for wrong in ["linux", "linux/", "a/b/c/d", ""] {
            assert!(wrong.parse::<Platform>().is_err(), "{wrong}");
        }
    }
}
