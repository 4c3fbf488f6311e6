//! Ports of containers that the host publishes.

use std::net::IpAddr;

use crate::port::Protocol;

/// A port of a container that the host shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publish {
    /// The host's address; `None` is every one.
    pub(crate) host_ip: Option<IpAddr>,
    /// The host's port; `None` lets the engine choose a free one.
    pub(crate) host_port: Option<u16>,
    /// The container's port.
    pub(crate) container_port: u16,
    pub(crate) protocol: Protocol,
}

impl std::fmt::Display for Publish {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host_ip {
            Some(IpAddr::V6(ip)) => write!(formatter, "[{ip}]:")?,
            Some(IpAddr::V4(ip)) => write!(formatter, "{ip}:")?,
            None => {}
        }
        match self.host_port {
            Some(port) => write!(formatter, "{port}:")?,
            None if self.host_ip.is_some() => write!(formatter, ":")?,
            None => {}
        }
        write!(formatter, "{}{}", self.container_port, self.protocol.suffix())
    }
}
