//! Addresses of API servers: hosts and ports as callers write them. Pure, and never copies a byte of a request that it did
//! not parse as an address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What is no address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    /// An address that is not `https://HOST[:PORT]`.
    #[error("`{0}` is not a server address such as `https://kind:8443`")]
    Server(String),
    /// A port that is none.
    #[error("`{0}` is not a port: a number from 1 to 65535")]
    Port(String),
}

/// The host of an address: parsed, so it is safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A DNS name in lower case. Underscores are allowed: GitLab's service aliases have them.
    Name(String),
    /// An IPv4 or IPv6 address.
    Ip(IpAddr),
}

impl Host {
    /// Reads a DNS name, an IPv4 address or an IPv6 address in brackets.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(address.into()));
        }
        let labels = || text.split('.');
        let valid = text.len() <= 253
            && labels().all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            })
            // `1.2.3.256` or `127.1` counts as a mistyped address, although some resolvers accept it.
            && labels().next_back().is_some_and(|label| !label.bytes().all(|byte| byte.is_ascii_digit()));
        valid.then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name),
            Self::Ip(IpAddr::V4(address)) => write!(formatter, "{address}"),
            Self::Ip(IpAddr::V6(address)) => write!(formatter, "[{address}]"),
        }
    }
}

/// Where an API server is; prints as a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub host: Host,
    pub port: u16,
}

impl Server {
    /// Reads `https://HOST[:PORT][/]` or `HOST[:PORT]`.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, AddressError> {
        let authority = text.strip_prefix("https://").unwrap_or(text);
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        split_authority(authority)
            .map(|(host, port)| Self { host, port: port.unwrap_or(default_port) })
            // Bounded, because the message goes back to the client.
            .ok_or_else(|| AddressError::Server(text.chars().take(100).collect()))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "https://{}:{}", self.host, self.port)
    }
}

/// Splits `HOST[:PORT]`; none when either part is not what it should be.
#[must_use]
pub(crate) fn split_authority(text: &str) -> Option<(Host, Option<u16>)> {
    // An IPv6 address has colons of its own; only one after the bracket separates a port.
    let boundary = text.rfind(']').map_or(0, |bracket| bracket + 1);
    match text.get(boundary..)?.find(':') {
        None => Some((Host::parse(text)?, None)),
        Some(colon) => {
            let (host, port) = text.split_at_checked(boundary + colon)?;
            let port = port.strip_prefix(':')?;
            Some((Host::parse(host)?, Some(self::port(port).ok()?)))
        }
    }
}

/// Reads a port.
pub(crate) fn port(text: &str) -> Result<u16, AddressError> {
    // `u16::from_str` takes a leading plus sign.
    let number = text.parse().ok().filter(|port| *port != 0 && text.bytes().all(|byte| byte.is_ascii_digit()));
    // Bounded, because the message goes back to the client.
    number.ok_or_else(|| AddressError::Port(text.chars().take(100).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn server(text: &str) -> Server {
        Server::parse(text, 8443).unwrap()
    }

    #[test]
    fn addresses_are_read_or_refused() {
        for (text, url) in [
            ("docker", "https://docker:8443"),
            ("docker:1", "https://docker:1"),
            ("DOCKER:65535", "https://docker:65535"),
            ("reg.example.com__ns__kind", "https://reg.example.com__ns__kind:8443"),
            ("127.0.0.1:32768", "https://127.0.0.1:32768"),
            ("[::1]", "https://[::1]:8443"),
            ("[0:0::1]:443", "https://[::1]:443"),
            ("https://kind:8443/", "https://kind:8443"),
        ] {
            assert_eq!(server(text).to_string(), url, "{text}");
        }
        for text in [
            "",
            ":",
            ":80",
            "a:",
            "a:0",
            "a:+1",
            "a:65536",
            "a:b",
            "a b",
            "a\n",
            "-a",
            "a-",
            "a..b",
            ".",
            "a.",
            "::1",
            "[::1",
            "::1]",
            "[::1]x",
            "[::1]:",
            "[fe80::1%25eth0]",
            "[1.2.3.4]",
            "1.2.3.256",
            "127.1",
            "a/b",
            "a@b",
            "http://a",
            "https://",
            "https://a/b",
            "https://https://a",
            "a:1:2",
            "é",
            "a\"b",
            "a#b",
        ] {
            assert!(Server::parse(text, 8443).is_err(), "{text:?}");
        }
        let long = "a".repeat(10_000);
        assert!(Server::parse(&long, 1).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn ports_are_numbers() {
        assert_eq!(port("65535").unwrap(), 65535);
        for text in ["", "0", "+1", "65536", "a", "1 "] {
            assert_eq!(
                port(text).unwrap_err().to_string(),
                format!("`{text}` is not a port: a number from 1 to 65535")
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn an_address_is_read_back_as_itself_or_refused(text in "\\PC{0,30}|(https://)?[a-z.:0-9\\[\\]_-]{0,20}/?") {
            if let Ok(read) = Server::parse(&text, 8443) {
                prop_assert_eq!(Server::parse(&read.to_string(), 1).unwrap(), read);
            }
        }
    }
}
