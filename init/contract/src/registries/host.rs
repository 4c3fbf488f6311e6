//! Hosts of registries: parsing, and quoting one in a message. Pure; resolves no name.

use crate::is_certificate_name;

/// Docker Hub, under the name that image references use.
pub const DOCKER_HUB: &str = "docker.io";

/// The registry's host as image references spell it. Accepts a URL and the spellings of `docker login` for Docker Hub.
/// None for a text that cannot be the registry of an image.
pub(super) fn host(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or(text);
    let text = text.trim_end_matches('/');
    let text = text.strip_suffix("/v1").or_else(|| text.strip_suffix("/v2")).unwrap_or(text);
    if matches!(text, "docker.io" | "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com") {
        return Some(DOCKER_HUB.to_owned());
    }
    // Without a dot or a port, a reference parser takes it for the first part of a repository on Docker Hub
    // (`github.com/distribution/reference`: `splitDockerDomain`).
    let is_domain = text.contains(['.', ':']) || text == "localhost";
    (is_domain && is_host(text)).then(|| text.to_owned())
}

/// An invalid host as an error message shows it. A text with an `@` may hold a password, so it is not repeated.
pub(super) fn quoted(text: &str) -> String {
    if text.contains('@') { "something with an @".to_owned() } else { format!("`{}`", text.escape_default()) }
}

/// Whether the text is a name or an address, with or without a port. It becomes the name of a directory and a quoted
/// string in a configuration, so nothing in it can leave either.
pub(super) fn is_host(text: &str) -> bool {
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
    fn a_host_is_parsed_from_all_common_spellings() {
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
}
