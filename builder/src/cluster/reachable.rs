//! Where this machine reaches the ports of a new container. With an engine on another machine, or one whose container this
//! process runs in, 127.0.0.1 is not the 127.0.0.1 on which the engine publishes. Publishes nothing itself.

use std::net::IpAddr;

use super::ports::Error;
use crate::engine::{EngineFacts, Location};
use crate::settings::{HostPort, HostPorts, Key};

/// The wanted ports on addresses that this machine reaches.
///
/// # Errors
/// [`Error::OtherMachine`] if the engine would publish on the loopback address of another machine. It is not moved to all of
/// that machine's addresses: everyone who reaches these ports is root there, so that has to be the user's decision.
pub(super) fn reachable(wanted: &HostPorts, facts: &EngineFacts, machine: &str) -> Result<HostPorts, Error> {
    if facts.location == Location::Remote {
        let needed = [(Key::API_PORT, wanted.api), (Key::HTTP_PORT, wanted.http)];
        let is_loopback = |port: &HostPort| matches!(port, HostPort::On { ip, .. } if ip.is_loopback());
        let settings: Vec<Key> = needed.iter().filter(|(_, port)| is_loopback(port)).map(|(key, _)| *key).collect();
        return match settings.as_slice() {
            // What browsers use goes where the HTTP port is: it serves the same.
            [] => Ok(HostPorts {
                web: address(wanted.http).map_or(wanted.web, |ip| on(wanted.web, ip)),
                ..wanted.clone()
            }),
            _ => Err(Error::OtherMachine { machine: machine.to_owned(), settings }),
        };
    }
    let Some(gateway) = facts.own_gateway else { return Ok(wanted.clone()) };
    let moved = |port: HostPort| on(port, gateway);
    let mut ports = wanted.clone();
    for port in [&mut ports.api, &mut ports.http, &mut ports.web, &mut ports.docker, &mut ports.docker_tls] {
        *port = moved(*port);
    }
    for extra in &mut ports.extra {
        extra.host = moved(extra.host);
    }
    Ok(ports)
}

fn address(port: HostPort) -> Option<IpAddr> {
    match port {
        HostPort::On { ip, .. } => Some(ip),
        HostPort::Off => None,
    }
}

/// A port on a loopback address, on another address instead.
fn on(port: HostPort, address: IpAddr) -> HostPort {
    match port {
        HostPort::On { ip, port } if ip.is_loopback() => HostPort::On { ip: address, port },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::advice::Advice;

    fn facts(location: Location, own_gateway: Option<&str>) -> EngineFacts {
        EngineFacts { location, own_gateway: own_gateway.map(|text| text.parse().unwrap()), ..EngineFacts::default() }
    }

    #[test]
    fn the_loopback_address_of_another_machine_is_refused() {
        let remote = facts(Location::Remote, None);
        let error = reachable(&HostPorts::default(), &remote, "docker").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the engine is on `docker`, and hostPorts.api and hostPorts.http are on its loopback address, which this \
             machine cannot reach"
        );
        assert!(error.hint().unwrap().contains("`--api-port 0.0.0.0:8443 --http-port 0.0.0.0:10080`"));
        let api = HostPort::parse("0.0.0.0:8443").unwrap();
        let error = reachable(&HostPorts { api, ..HostPorts::default() }, &remote, "docker").unwrap_err();
        assert!(error.to_string().contains("and hostPorts.http is on its"), "{error}");
        let http = HostPort::parse("10.0.0.5:auto").unwrap();
        let both = HostPorts { api, http, ..HostPorts::default() };
        let chosen = reachable(&both, &remote, "docker").unwrap();
        assert_eq!((chosen.api, chosen.web.to_string().as_str()), (api, "10.0.0.5:10088"));
        assert_eq!(reachable(&HostPorts::default(), &facts(Location::Here, None), "").unwrap(), HostPorts::default());
    }

    #[test]
    fn a_container_of_the_engine_gets_ports_on_its_gateway() {
        let moved = reachable(&HostPorts::default(), &facts(Location::Here, Some("172.17.0.1")), "").unwrap();
        assert_eq!((moved.api.to_string().as_str(), moved.docker), ("172.17.0.1:8443", HostPort::Off));
    }
}
