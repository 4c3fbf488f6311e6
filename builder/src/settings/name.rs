//! Names of clusters and images, as far as they can be checked without an engine.

use kubake_contract::ImageReference;

/// Checks a cluster's name: it becomes a container's name, a kubeconfig context and part of file names.
///
/// # Errors
/// The problem, with the text quoted.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.' || byte == b'_';
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if good {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a name: lower-case letters, digits, `-`, `_` and `.`, at most 63, a letter or digit first"
        ))
    }
}

/// Checks an image's name as far as possible without an engine; adds `:latest` where the tag is missing.
///
/// # Errors
/// The problem, with the text quoted.
pub(super) fn parse_image(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is not an image name such as `registry.example/team/kubake:1.0`");
    if text.contains('@') {
        return Err(format!("`{text}` names a digest; kubake makes and runs images by tag, so give a tag"));
    }
    ImageReference::parse(text).map(|reference| reference.with_tag()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn image_names() {
        for (text, full) in [
            ("kubake", "kubake:latest"),
            ("kubake:v1", "kubake:v1"),
            ("localhost:5000/kubake", "localhost:5000/kubake:latest"),
            ("registry.example/a/b:1.0", "registry.example/a/b:1.0"),
        ] {
            assert_eq!(parse_image(text).unwrap(), full);
        }
        for text in ["", "Kubake", "kubake:", "a b", "-x", "a//b", "kubake@sha256:00", "kubake:a/b:", "a:b:c"] {
            assert!(parse_image(text).is_err(), "{text}");
        }
    }
}
