//! The setting `--base-image`.

use std::str::FromStr;

/// The setting `--base-image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BaseImage {
    /// `auto`: what is here, else the published one, else made.
    #[default]
    Auto,
    /// `mmdebstrap`: made.
    Mmdebstrap,
    /// This one, whatever it is.
    Named(String),
}

impl FromStr for BaseImage {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" | "auto" => Self::Auto,
            "mmdebstrap" => Self::Mmdebstrap,
            name => Self::Named(name.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices() {
        for (text, choice) in [
            ("auto", BaseImage::Auto),
            ("mmdebstrap", BaseImage::Mmdebstrap),
            ("debian:sid", BaseImage::Named("debian:sid".to_owned())),
        ] {
            assert_eq!(text.parse::<BaseImage>().unwrap(), choice);
        }
    }
}
