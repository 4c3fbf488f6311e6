//! Ports: where a port of the container appears on the host, as `hostPorts` and `--publish` write it. Parses and prints;
//! binds nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::port::Protocol;

/// Where a port of the container appears on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostPort {
    Off,
    /// Published on an address of the host.
    On {
        ip: IpAddr,
        /// The host port; none takes a free one.
        port: Option<u16>,
    },
}

/// The default address: a client that reaches the API server with the kubeconfig is root on the host, so the port is not
/// published on all addresses.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl HostPort {
    /// A fixed port on 127.0.0.1.
    #[must_use]
    pub(crate) const fn local(port: u16) -> Self {
        Self::On { ip: LOOPBACK, port: Some(port) }
    }

    /// Parses `off`, `auto`, `8443`, `0.0.0.0:8443`, `[::1]:auto`.
    ///
    /// # Errors
    /// The problem, with the text quoted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if matches!(text, "off" | "false" | "none") {
            return Ok(Self::Off);
        }
        let (ip, port) = match text.rsplit_once(':') {
            None => (LOOPBACK, text),
            Some((ip, port)) => (parse_ip(ip)?, port),
        };
        Ok(Self::On { ip, port: parse_host_port(port)? })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => formatter.write_str("off"),
            Self::On { ip, port } => {
                match ip {
                    IpAddr::V4(ip) if *ip == Ipv4Addr::LOCALHOST => {}
                    IpAddr::V4(ip) => write!(formatter, "{ip}:")?,
                    IpAddr::V6(ip) => write!(formatter, "[{ip}]:")?,
                }
                match port {
                    Some(port) => write!(formatter, "{port}"),
                    None => formatter.write_str("auto"),
                }
            }
        }
    }
}

/// A further port to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish {
    /// The place on the host; never [`HostPort::Off`].
    pub(crate) host: HostPort,
    pub(crate) container: u16,
    pub(crate) protocol: Protocol,
}

impl Publish {
    /// Parses `[IP:]HOST:CONTAINER[/udp]`.
    ///
    /// # Errors
    /// The problem, with the text quoted.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (ports, protocol) = match text.rsplit_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), Protocol::Tcp),
            Some((ports, "udp")) => (ports, Protocol::Udp),
            Some((_, other)) => return Err(format!("`{other}` is neither `tcp` nor `udp`")),
        };
        let (host, container) =
            ports.rsplit_once(':').ok_or_else(|| format!("`{text}` is not of the form `[IP:]HOST:CONTAINER[/udp]`"))?;
        let host = HostPort::parse(host)?;
        if host == HostPort::Off {
            return Err(format!("`{text}` publishes nothing"));
        }
        Ok(Self { host, container: parse_port(container)?, protocol })
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}{}", self.host, self.container, self.protocol.suffix())
    }
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().map_err(|_| format!("`{text}` is not an IP address of the host"))
}

fn parse_host_port(text: &str) -> Result<Option<u16>, String> {
    if text == "auto" { Ok(None) } else { parse_port(text).map(Some) }
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err(format!("`{text}` is not a port: a number from 1 to 65535, or `auto` on the host's side"))
        }
        Ok(port) => Ok(port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports() {
        for (text, printed) in [
            ("8443", "8443"),
            ("auto", "auto"),
            ("127.0.0.1:8443", "8443"),
            ("0.0.0.0:8443", "0.0.0.0:8443"),
            ("[::1]:auto", "[::1]:auto"),
            ("off", "off"),
            ("false", "off"),
        ] {
            assert_eq!(HostPort::parse(text).unwrap().to_string(), printed, "{text}");
        }
        for text in ["", "0", "65536", "http", "host:80", ":80", "1.2.3:80"] {
            assert!(HostPort::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn extra_ports() {
        for text in ["8080:80", "0.0.0.0:8080:80", "auto:30000", "53:30053/udp", "[::1]:8080:80"] {
            assert_eq!(Publish::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Publish::parse("8080:80/tcp").unwrap().to_string(), "8080:80");
        for text in ["", "80", "off:80", "80:", "80:0", "80:80/sctp", ":80", "auto:auto"] {
            assert!(Publish::parse(text).is_err(), "{text}");
        }
    }
}
