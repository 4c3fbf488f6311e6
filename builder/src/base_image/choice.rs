//! The setting `--base-image`.

use std::str::FromStr;

/// The setting `--base-image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum BaseImage {
    /// `auto`: the image that the engine has, otherwise the published one, otherwise a created one.
    #[default]
    Auto,
    /// `mmdebstrap`: an image created from Debian packages.
    Mmdebstrap,
    /// A name: this image.
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
