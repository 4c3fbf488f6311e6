//! The settings of the section `hostPorts`: where the container's ports appear on the host. Owns their declarations, their
//! values and the check that no two want the same port.

use super::entry::{Origin, Origins};
use super::error::Problem;
use super::host_port::{HostPort, Publish};
use super::setting::{Declaration, Key, Setting, store};
use crate::port::Protocol;

impl Key {
    pub(crate) const API_PORT: Self = Self::new("hostPorts.api");
    pub(crate) const HTTP_PORT: Self = Self::new("hostPorts.http");
    pub(crate) const WEB_PORT: Self = Self::new("hostPorts.web");
    pub(crate) const DOCKER_PORT: Self = Self::new("hostPorts.docker");
    pub(crate) const DOCKER_TLS_PORT: Self = Self::new("hostPorts.dockerTls");
    pub(crate) const EXTRA_PORTS: Self = Self::new("hostPorts.extra");
}

/// Ports of the container on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPorts {
    /// The Kubernetes API.
    pub(crate) api: HostPort,
    /// Readiness, status and kubeconfig.
    pub(crate) http: HostPort,
    /// The same for browsers, which refuse 10080.
    pub(crate) web: HostPort,
    /// The Docker API.
    pub(crate) docker: HostPort,
    /// The Docker API with TLS.
    pub(crate) docker_tls: HostPort,
    /// More ports, such as those of NodePort services.
    pub(crate) extra: Vec<Publish>,
}

impl Default for HostPorts {
    fn default() -> Self {
        Self {
            api: HostPort::local(8443),
            http: HostPort::local(10080),
            web: HostPort::local(10088),
            docker: HostPort::Off,
            docker_tls: HostPort::Off,
            extra: Vec::new(),
        }
    }
}

pub(super) const SETTINGS: &[Setting<HostPorts>] = &[
    Setting::one(
        Declaration {
            key: Key::API_PORT,
            flag: "--api-port",
            env: &["KUBAKE_API_PORT"],
            placeholder: "PORT",
            default: "8443",
            about: "host port of the Kubernetes API: a number, `auto`, `IP:PORT` or `off`; on 127.0.0.1 unless an IP is given",
            ..Declaration::BASE
        },
        |ports, text| store(&mut ports.api, HostPort::parse(text)),
        |ports| Some(ports.api.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::HTTP_PORT,
            flag: "--http-port",
            env: &["KUBAKE_HTTP_PORT"],
            placeholder: "PORT",
            default: "10080",
            about: "host port of readiness, status and /config",
            ..Declaration::BASE
        },
        |ports, text| store(&mut ports.http, HostPort::parse(text)),
        |ports| Some(ports.http.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::WEB_PORT,
            flag: "--web-port",
            env: &["KUBAKE_WEB_PORT"],
            placeholder: "PORT",
            default: "10088",
            about: "host port of the same for browsers, which refuse 10080; without this setting another one if it is taken",
            ..Declaration::BASE
        },
        |ports, text| store(&mut ports.web, HostPort::parse(text)),
        |ports| Some(ports.web.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::DOCKER_PORT,
            flag: "--docker-port",
            env: &["KUBAKE_DOCKER_PORT"],
            placeholder: "PORT",
            default: "off",
            about: "host port of the node's Docker API over plain TCP; everyone who reaches it is root on the node",
            ..Declaration::BASE
        },
        |ports, text| store(&mut ports.docker, HostPort::parse(text)),
        |ports| Some(ports.docker.to_string()),
    ),
    Setting::one(
        Declaration {
            key: Key::DOCKER_TLS_PORT,
            flag: "--docker-tls-port",
            env: &["KUBAKE_DOCKER_TLS_PORT"],
            placeholder: "PORT",
            default: "off",
            about: "host port of the node's Docker API with TLS, for clients with the certificate of /docker-client.tar",
            ..Declaration::BASE
        },
        |ports, text| store(&mut ports.docker_tls, HostPort::parse(text)),
        |ports| Some(ports.docker_tls.to_string()),
    ),
    Setting::list(
        Declaration {
            key: Key::EXTRA_PORTS,
            flag: "--publish",
            short: Some('p'),
            env: &["KUBAKE_PUBLISH"],
            placeholder: "PORTS",
            about: "more ports to publish, as `[IP:]HOST:CONTAINER[/udp]`, for NodePort services",
            ..Declaration::BASE
        },
        |ports| ports.extra.clear(),
        |ports, text| Publish::parse(text).map(|port| ports.extra.push(port)),
        |ports| ports.extra.iter().map(ToString::to_string).collect(),
    ),
];

/// Reports ports that two settings want, and the HTTP port that is off.
pub(super) fn problems(ports: &HostPorts, origins: &Origins) -> Vec<Problem> {
    let is_default = |key| matches!(origins.of(key), Origin::Default);
    let named = [
        (Key::API_PORT, ports.api),
        (Key::HTTP_PORT, ports.http),
        // Its default gives way.
        (Key::WEB_PORT, if is_default(Key::WEB_PORT) { HostPort::Off } else { ports.web }),
        (Key::DOCKER_PORT, ports.docker),
        (Key::DOCKER_TLS_PORT, ports.docker_tls),
    ];
    let extra = ports.extra.iter().filter(|extra| extra.protocol == Protocol::Tcp);
    let fixed = named
        .into_iter()
        .chain(extra.map(|extra| (Key::EXTRA_PORTS, extra.host)))
        .filter(|(_, port)| matches!(port, HostPort::On { port: Some(_), .. }));
    let mut problems = Vec::new();
    let mut seen: Vec<(Key, HostPort)> = Vec::new();
    for (key, port) in fixed {
        if let Some((other, _)) = seen.iter().find(|(_, seen)| *seen == port) {
            let message = format!("{} and {} both want host port {port}", other.path(), key.path());
            problems.push(Problem { origin: origins.first_given(&[key, *other]), message });
        }
        seen.push((key, port));
    }
    if ports.http == HostPort::Off {
        let message = "hostPorts.http cannot be off: readiness is read from it".to_owned();
        problems.push(Problem { origin: origins.of(Key::HTTP_PORT).clone(), message });
    }
    problems
}
