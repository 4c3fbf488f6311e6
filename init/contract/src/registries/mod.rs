//! Registries that a container gets logins, mirrors and CAs for. Parsed from variables and a file; written by `kubake-init`.

mod file;
pub mod mirror;
pub mod request;

use std::fmt;

pub use file::text;
pub use mirror::Mirror;
pub use request::{FileError, RequestError};

use crate::is_certificate_name;

/// Docker's own registry, as it stands in the names of images.
pub const DOCKER_HUB: &str = "docker.io";

/// What is known of one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    /// As in the names of images: a host with or without a port.
    pub host: String,
    /// How to log in; none for one that lets everybody read.
    pub login: Option<Login>,
    /// Asked before the registry itself, in this order.
    pub mirrors: Vec<Mirror>,
    /// Certificates are not verified, the registry's and its mirrors'.
    pub is_insecure: bool,
    /// The registry speaks no TLS. Mirrors say that in their URLs.
    pub is_plain_http: bool,
    /// CAs that vouch for the registry and its mirrors, as PEM.
    pub authorities: Vec<String>,
}

/// A user with a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// The password, or a token that stands for one.
    pub password: String,
}

impl fmt::Debug for Login {
    // A password in a log line is a password lost.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A registry's host as it stands in the names of images, from however people write it: with `https://` and a slash at
/// the end, or as `docker login` knows Docker's own. None for what cannot be the registry of an image.
fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix("/v1").or_else(|| text.strip_suffix("/v2")).unwrap_or(text);
    if matches!(text, "docker.io" | "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com") {
        return Some(DOCKER_HUB.to_owned());
    }
    // Without a dot or a port it would be the first part of a repository of Docker's
    // (`github.com/distribution/reference`: `splitDockerDomain`).
    let is_domain = text.contains(['.', ':']) || text == "localhost";
    (is_domain && is_host(text)).then(|| text.to_owned())
}

/// What was given for a host, to be told when it is none. People put logins before hosts.
fn shown(text: &str) -> String {
    if text.contains('@') { "something with an @".to_owned() } else { format!("`{}`", text.escape_default()) }
}

/// Whether this is a name or an address, with or without a port: nothing that could leave a directory or a quotation.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let is_address = |inner: &str| inner.parse::<std::net::Ipv6Addr>().is_ok();
    let is_name = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => is_address(inner),
        None => !name.starts_with('*') && !name.contains(':') && is_certificate_name(name),
    };
    is_name && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_understood_however_they_are_written() {
        for (text, expected) in [
            ("registry.example", "registry.example"),
            (" https://registry.example:5000/ ", "registry.example:5000"),
            ("http://10.1.2.3:5000/v2/", "10.1.2.3:5000"),
            ("[fd00::1]:5000", "[fd00::1]:5000"),
            ("localhost", "localhost"),
            ("registry:5000", "registry:5000"),
            ("docker.io", "docker.io"),
            ("https://index.docker.io/v1/", "docker.io"),
        ] {
            assert_eq!(host(text).as_deref(), Some(expected), "{text}");
        }
        for text in [
            "",
            "registry",
            "..",
            "../etc",
            "a.b/c",
            "a.b:x",
            "a.b:0",
            "a.b:99999",
            "*.b",
            "a.b\"",
            "a b.c",
            "[x]:1",
            "u@a.b",
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let login = Login { user: "ci".to_owned(), password: "hunter22".to_owned() };
        assert_eq!(format!("{login:?}"), "Login { user: \"ci\", .. }");
    }
}
