//! A mirror of a registry: the accepted forms, and the forms for containerd and dockerd. Pure. No error contains the text,
//! because people put logins into URLs.
//!
//! A path is the root of the mirror's API as it stands, `/v2` and all: so it is with `endpoint` of k3s' `registries.yaml`
//! and with `override_path` of containerd's `hosts.toml`, without which containerd puts a `/v2` behind it
//! (`core/remotes/docker/config/hosts.go`: `parseHostConfig`).

use std::fmt;

use super::host::is_host;

/// The root of the API where nothing else is said (OCI distribution specification, "Endpoints").
const ROOT: &str = "/v2";

/// Why a text is no mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MirrorError {
    /// Another kind of text.
    #[error(
        "must be a URL without credentials, such as https://mirror.example or https://harbor.example/v2/proxy-cache"
    )]
    Url,
    /// A path under which no registry has its API. The mistake would stay hidden: containerd falls back to the registry itself.
    #[error(
        "has a path without /v2 in it; write the whole path of the mirror's API, such as \
         https://harbor.example/v2/proxy-cache"
    )]
    Path,
}

/// Asked before the registry itself. Prints as its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Whether it speaks TLS.
    pub has_tls: bool,
    /// Its host, with or without a port.
    pub host: String,
    /// The root of its API, with a slash before and none behind; none where that is [`ROOT`].
    path: Option<String>,
}

impl Mirror {
    /// Understands a URL.
    ///
    /// # Errors
    /// [`MirrorError`].
    pub fn parse(text: &str) -> Result<Self, MirrorError> {
        let text = text.trim().trim_end_matches('/');
        let (has_tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(MirrorError::Url),
        };
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if !is_host(host) || !path.split('/').skip(1).all(is_segment) {
            return Err(MirrorError::Url);
        }
        let path = match path {
            "" | ROOT => None,
            path if path.split('/').any(|segment| segment == "v2") => Some(path.to_owned()),
            _ => return Err(MirrorError::Path),
        };
        Ok(Self { has_tls, host: host.to_owned(), path })
    }

    /// Whether its API is somewhere else than everybody's.
    #[must_use]
    pub fn has_path(&self) -> bool {
        self.path.is_some()
    }

    /// Its URL for dockerd, which puts `/v2` before any path (buildkit 0.13, `util/resolver/resolver.go`:
    /// `newMirrorRegistryHost`). None where its API is not below that.
    #[must_use]
    pub fn for_docker(&self) -> Option<String> {
        let path = match &self.path {
            None => "",
            Some(path) => path.strip_prefix(ROOT).filter(|rest| rest.starts_with('/'))?,
        };
        Some(format!("{}://{}{path}", self.scheme(), self.host))
    }

    fn scheme(&self) -> &'static str {
        if self.has_tls { "https" } else { "http" }
    }
}

impl fmt::Display for Mirror {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}{}", self.scheme(), self.host, self.path.as_deref().unwrap_or_default())
    }
}

/// Whether this may stand between two slashes: nothing that leads elsewhere, or that TOML or a URL would want escaped.
fn is_segment(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    !matches!(text, "" | "." | "..") && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_is_a_host_with_or_without_the_root_of_its_api() {
        for (text, url, docker) in [
            ("https://mirror.example/", "https://mirror.example", Some("https://mirror.example")),
            ("http://mirror:5000", "http://mirror:5000", Some("http://mirror:5000")),
            (" https://mirror.example/v2/ ", "https://mirror.example", Some("https://mirror.example")),
            (
                "https://harbor.example/v2/proxy-cache/",
                "https://harbor.example/v2/proxy-cache",
                Some("https://harbor.example/proxy-cache"),
            ),
            (
                "http://gitlab:5050/v2/group/dependency_proxy/containers",
                "http://gitlab:5050/v2/group/dependency_proxy/containers",
                Some("http://gitlab:5050/group/dependency_proxy/containers"),
            ),
            ("https://a.example/api/docker/remote/v2", "https://a.example/api/docker/remote/v2", None),
        ] {
            let mirror = Mirror::parse(text).unwrap();
            assert_eq!((mirror.to_string().as_str(), mirror.for_docker().as_deref()), (url, docker), "{text}");
            assert_eq!(Mirror::parse(url), Ok(mirror), "{text}");
        }
    }

    #[test]
    fn what_is_no_mirror_is_told_and_not_repeated() {
        for text in [
            "mirror.example",
            "ftp://mirror.example",
            "https://",
            "https:///v2",
            "https://a\"b",
            "https://ci:hunter22@mirror.example/v2/x",
            "https://mirror.example/v2/../x",
            "https://mirror.example//v2",
            "https://mirror.example/v2/x?ns=docker.io",
            "https://mirror.example/v2/x#y",
            "https://mirror.example/v2/a\"b",
            "https://mirror.example/v2/%2e",
        ] {
            let error = Mirror::parse(text).unwrap_err();
            assert_eq!(error, MirrorError::Url, "{text}");
            assert!(!error.to_string().contains("hunter22"));
        }
        for text in ["https://harbor.example/proxy-cache", "https://mirror.example/v2x"] {
            assert_eq!(Mirror::parse(text), Err(MirrorError::Path), "{text}");
        }
    }
}
