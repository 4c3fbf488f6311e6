//! Host ports before a container gets them: which are taken, which are free. Binds and lets go; publishes nothing.

use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};

use kubake_contract::ports;
use thiserror::Error;

use crate::advice::Advice;
use crate::engine::command::Publish;
use crate::port::Protocol;
use crate::settings::{HostPort, HostPorts, Key, Origin, Settings, flag};

/// Why the ports cannot be had.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// Another program listens there.
    #[error("host port {port} on {ip} ({setting}) is already in use")]
    InUse {
        ip: IpAddr,
        port: u16,
        /// Which setting wants it.
        setting: String,
        key: Key,
    },
    /// The host has no such address.
    #[error("this machine has no address {ip} ({setting})")]
    NoAddress {
        ip: IpAddr,
        /// Which setting wants it.
        setting: String,
    },
    /// The engine would publish where only its own machine gets to.
    #[error(
        "the engine is on `{machine}`, and {} on its loopback address, which this machine cannot reach", are(.settings)
    )]
    OtherMachine {
        machine: String,
        /// Settings that name a loopback address.
        settings: Vec<Key>,
    },
    #[error("`{setting}` has no effect in the host's network: the node listens on {port} itself")]
    HostNetwork { setting: String, port: u16 },
    #[error("`{setting}` has no effect in the host's network: every port of the node is the host's")]
    HostNetworkExtra { setting: String },
    /// No port at all.
    #[error("no free port found on {ip} ({setting})")]
    NoneFree {
        ip: IpAddr,
        /// Which setting wants it.
        setting: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::InUse { key, port, .. } => {
                let listener = format!("`ss -ltnp 'sport = :{port}'`");
                Some(if *key == Key::EXTRA_PORTS {
                    format!("end what listens there ({listener}), or publish on another port")
                } else {
                    format!("end what listens there ({listener}), or take a free one with `{} auto`", flag(*key))
                })
            }
            Self::HostNetwork { .. } | Self::HostNetworkExtra { .. } => {
                Some("leave the setting out, or use another network than `host`".to_owned())
            }
            Self::OtherMachine { .. } => Some(
                "name an address of that machine: `--api-port 0.0.0.0:8443 --http-port 0.0.0.0:10080`, and a token with \
                 `--token-file`, because everyone who reaches these ports without one is root there"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

impl Error {
    /// Whether settings are wrong, and not the state of this machine.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::OtherMachine { .. } | Self::HostNetwork { .. } | Self::HostNetworkExtra { .. })
    }
}

/// `a is`, or `a and b are`.
fn are(settings: &[Key]) -> String {
    let names: Vec<&str> = settings.iter().map(|key| key.path()).collect();
    format!("{} {}", names.join(" and "), if names.len() == 1 { "is" } else { "are" })
}

/// The ports of every node: setting, wanted host port, the node's own port.
fn fixed(wanted: &HostPorts) -> [(Key, HostPort, u16); 5] {
    [
        (Key::API_PORT, wanted.api, ports::API),
        (Key::HTTP_PORT, wanted.http, ports::HTTP),
        (Key::WEB_PORT, wanted.web, ports::WEB),
        (Key::DOCKER_PORT, wanted.docker, ports::DOCKER),
        (Key::DOCKER_TLS_PORT, wanted.docker_tls, ports::DOCKER_TLS),
    ]
}

/// The ports that a node in its host's network listens on itself, where nothing can be published elsewhere.
///
/// # Errors
/// [`Error::HostNetwork`] if a setting asks for another port.
pub(super) fn of_host_network(settings: &Settings) -> Result<HostPorts, Error> {
    let fixed = fixed(&settings.ports);
    let is_default = |key| matches!(settings.origin(key), Origin::Default);
    let moved = fixed.into_iter().find(|(key, wanted, own)| *wanted != HostPort::local(*own) && !is_default(*key));
    if let Some((key, _, own)) = moved {
        return Err(Error::HostNetwork { setting: key.path().to_owned(), port: own });
    }
    if !settings.ports.extra.is_empty() && !is_default(Key::EXTRA_PORTS) {
        return Err(Error::HostNetworkExtra { setting: Key::EXTRA_PORTS.path().to_owned() });
    }
    let [api, http, web, docker, docker_tls] = fixed.map(|(_, _, own)| HostPort::local(own));
    Ok(HostPorts { api, http, web, docker, docker_tls, extra: Vec::new() })
}

/// The ports that the settings want. A port for browsers that no setting names takes a free one where its own is taken or
/// cannot be looked at (`local` is false): it must not keep a cluster from starting.
pub(super) fn of_settings(settings: &Settings, local: bool) -> HostPorts {
    let mut wanted = settings.ports.clone();
    if let (HostPort::On { ip, port: Some(port) }, Origin::Default) = (wanted.web, settings.origin(Key::WEB_PORT)) {
        let is_wanted = fixed(&wanted).into_iter().any(|(key, other, _)| key != Key::WEB_PORT && other == wanted.web);
        if is_wanted || !local || TcpListener::bind((ip, port)).is_err() {
            wanted.web = HostPort::On { ip, port: None };
        }
    }
    wanted
}

/// A port as it will be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) key: Key,
    pub(super) ip: IpAddr,
    /// None leaves the choice to the engine.
    pub(super) host: Option<u16>,
    pub(super) container: u16,
    pub(super) protocol: Protocol,
}

impl Chosen {
    /// As the engine publishes it.
    pub(super) fn publish(&self) -> Publish {
        Publish {
            host_ip: Some(self.ip),
            host_port: self.host,
            container_port: self.container,
            protocol: self.protocol,
        }
    }
}

/// What holds a port until all are chosen, so that none is chosen twice.
enum Held {
    Tcp(#[expect(dead_code, reason = "held, not used")] TcpListener),
    Udp(#[expect(dead_code, reason = "held, not used")] UdpSocket),
}

/// Checks fixed ports and chooses free ones. Where the engine's ports are not this machine's (`local` is false),
/// nothing can be checked, and the engine chooses.
///
/// # Errors
/// See [`Error`].
pub(super) fn choose(wanted: &HostPorts, local: bool) -> Result<Vec<Chosen>, Error> {
    let fixed = fixed(wanted).map(|(key, host, container)| (key, host, container, Protocol::Tcp));
    let extra = wanted.extra.iter().map(|extra| (Key::EXTRA_PORTS, extra.host, extra.container, extra.protocol));
    let mut chosen = Vec::new();
    let mut held = Vec::new();
    for (key, host, container, protocol) in fixed.into_iter().chain(extra) {
        let HostPort::On { ip, port } = host else { continue };
        let mut host = port;
        if local {
            let (port, holder) = hold(key, ip, port, protocol)?;
            host = port;
            held.extend(holder);
        }
        chosen.push(Chosen { key, ip, host, container, protocol });
    }
    Ok(chosen)
}

fn hold(key: Key, ip: IpAddr, port: Option<u16>, protocol: Protocol) -> Result<(Option<u16>, Option<Held>), Error> {
    let setting = key.path().to_owned();
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind((ip, port.unwrap_or(0)))
            .and_then(|listener| Ok((listener.local_addr()?.port(), Held::Tcp(listener)))),
        Protocol::Udp => UdpSocket::bind((ip, port.unwrap_or(0)))
            .and_then(|socket| Ok((socket.local_addr()?.port(), Held::Udp(socket)))),
    };
    match (bound, port) {
        (Ok((port, held)), _) => Ok((Some(port), Some(held))),
        (Err(error), Some(port)) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(Error::InUse { ip, port, setting, key })
        }
        (Err(error), _) if error.kind() == io::ErrorKind::AddrNotAvailable => Err(Error::NoAddress { ip, setting }),
        // Below 1024 for example: the engine, which is root, can have what we cannot even try.
        (Err(_), Some(port)) => Ok((Some(port), None)),
        (Err(source), None) => Err(Error::NoneFree { ip, setting, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Publish as ExtraPort;

    fn wanted(api: HostPort, http: HostPort) -> HostPorts {
        HostPorts { api, http, web: HostPort::Off, docker: HostPort::Off, docker_tls: HostPort::Off, extra: Vec::new() }
    }

    fn auto() -> HostPort {
        HostPort::parse("auto").unwrap()
    }

    #[test]
    fn a_taken_port_is_reported_with_its_setting() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose(&wanted(HostPort::local(port), auto()), true).unwrap_err();
        assert_eq!(error.to_string(), format!("host port {port} on 127.0.0.1 (hostPorts.api) is already in use"));
        assert!(error.hint().unwrap().contains("`--api-port auto`"));
        // Another machine's ports are not ours to look at.
        choose(&wanted(HostPort::local(port), auto()), false).unwrap();
    }

    #[test]
    fn free_ports_differ_and_are_free() {
        let mut wanted = wanted(auto(), auto());
        wanted.docker_tls = auto();
        wanted.extra = vec![ExtraPort::parse("auto:30053/udp").unwrap()];
        let chosen = choose(&wanted, true).unwrap();
        assert_eq!(chosen.len(), 4);
        assert_ne!(chosen[0].host, chosen[1].host);
        assert_eq!(chosen[2].publish().to_string(), format!("127.0.0.1:{}:2376", chosen[2].host.unwrap()));
        assert_eq!(chosen[3].publish().to_string(), format!("127.0.0.1:{}:30053/udp", chosen[3].host.unwrap()));
        let remote = choose(&wanted, false).unwrap();
        assert_eq!(remote[0].publish().to_string(), "127.0.0.1::8443");
    }

    #[test]
    fn an_address_that_this_machine_does_not_have() {
        let error = choose(&wanted(HostPort::parse("192.0.2.1:8443").unwrap(), auto()), true).unwrap_err();
        assert!(matches!(error, Error::NoAddress { .. }), "{error}");
    }

    #[test]
    fn the_port_for_browsers_keeps_no_cluster_from_starting() {
        use crate::cluster::fixtures::settings;
        let own = TcpListener::bind(("127.0.0.1", ports::WEB));
        let web = |variables: &[(&str, &str)], local| of_settings(&settings(variables), local).web;
        assert_eq!(web(&[], true), auto(), "{own:?}");
        assert_eq!(web(&[], false), auto());
        assert_eq!(web(&[("KUBAKE_HTTP_PORT", "10088")], true), auto(), "another setting wants it");
        assert_eq!(web(&[("KUBAKE_WEB_PORT", "10088")], true), HostPort::local(10088));
        assert_eq!(web(&[("KUBAKE_WEB_PORT", "off")], true), HostPort::Off);
    }

    #[test]
    fn in_the_hosts_network_ports_are_the_containers_own() {
        use crate::cluster::fixtures::settings;
        let wanted = of_host_network(&settings(&[])).unwrap();
        assert_eq!((wanted.api, wanted.docker), (HostPort::local(ports::API), HostPort::local(ports::DOCKER)));
        for (variable, text) in [("KUBAKE_API_PORT", "9443"), ("KUBAKE_PUBLISH", "8080:80")] {
            let error = of_host_network(&settings(&[(variable, text)])).unwrap_err();
            assert!(error.to_string().contains("has no effect in the host's network"), "{error}");
            assert!(error.hint().is_some());
        }
    }
}
