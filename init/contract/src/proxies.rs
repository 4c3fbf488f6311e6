//! Proxies of the container's environment: their variables, and which programs receive them. Pure. containerd and dockerd
//! receive them, because they pull images, and so do the hooks of a bake. No other program does: kubeadm would write them
//! into static pods (`cmd/kubeadm/app/util/env.go`), and Kubernetes' own programs talk to one another without a proxy.
//!
//! The list of addresses that need no proxy is completed with the cluster's addresses and names and with the container's
//! networks, which users cannot know. Go compares addresses with ranges and names with names, and looks up
//! nothing (`golang.org/x/net/http/httpproxy`).

use std::ffi::OsString;
use std::net::IpAddr;

use ipnet::Ipv4Net;

use crate::{ClusterSettings, Node, names};

const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];
/// The variables that are understood, each in its two spellings, of which the first that is set counts.
pub const UNDERSTOOD: [[&str; 2]; 3] = [HTTP, HTTPS, NONE];
/// Every variable about proxies. The engine may pass these on from its user's configuration.
pub const VARIABLES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
    "FTP_PROXY",
    "ftp_proxy",
];

/// Names and addresses inside of every cluster.
const INSIDE: [&str; 8] = [
    "localhost",
    "127.0.0.0/8",
    "::1",
    "kubernetes",
    "kubernetes.default",
    ".svc",
    ".svc.cluster.local",
    ".cluster.local",
];

/// A variable that cannot be used. The message leaves out the value, which may contain a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable}: this is not the URL of a proxy; give one such as http://proxy.example:3128, or leave it out")]
pub struct ProxyError {
    pub variable: &'static str,
}

#[derive(Clone, PartialEq, Eq)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    exceptions: Vec<String>,
}

impl std::fmt::Debug for Proxies {
    // A proxy's URL may hold a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Proxies").field("exceptions", &self.exceptions).finish_non_exhaustive()
    }
}

/// What is around the programs that use them.
#[derive(Debug, Clone, Copy)]
pub struct ProxyScope<'a> {
    pub settings: &'a ClusterSettings,
    pub node: &'a Node,
    /// The container's own addresses.
    pub addresses: &'a [IpAddr],
    /// The networks that it is in.
    pub networks: &'a [Ipv4Net],
    /// What its starter called it.
    pub hostname: &'a str,
}

impl Proxies {
    /// Understands the variables that `get` finds; none without a proxy in them. Of two spellings the first counts, as
    /// with Go.
    ///
    /// # Errors
    /// A [`ProxyError`] for each that cannot be used.
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, Vec<ProxyError>> {
        let first = |spellings: [&'static str; 2]| {
            let set = |name: &'static str| Some((name, get(name)?.trim().to_owned()));
            spellings.into_iter().filter_map(set).find(|(_, value)| !value.is_empty())
        };
        let mut errors = Vec::new();
        let mut proxy = |spellings| match first(spellings) {
            Some((_, value)) if host(&value).is_some() => Some(value),
            Some((variable, _)) => {
                errors.push(ProxyError { variable });
                None
            }
            None => None,
        };
        let (http, https) = (proxy(HTTP), proxy(HTTPS));
        let exceptions = first(NONE).map(|(_, value)| value).unwrap_or_default();
        let exceptions = exceptions.split([',', ' ']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok((http.is_some() || https.is_some()).then_some(Self { http, https, exceptions }))
    }

    /// The variables for a program that uses proxies, in both spellings.
    #[must_use]
    pub fn environment(&self, scope: &ProxyScope) -> Vec<(OsString, OsString)> {
        let exceptions = Some(self.exceptions(scope).join(","));
        [(HTTP, &self.http), (HTTPS, &self.https), (NONE, &exceptions)]
            .into_iter()
            .filter_map(|(spellings, value)| Some((spellings, value.as_ref()?)))
            .flat_map(|(spellings, value)| spellings.map(|name| (name.into(), value.into())))
            .collect()
    }

    /// Whether one of them is on the container's own loopback, where there is none: what reaches a proxy on the host
    /// under this address, reaches the container in here.
    #[must_use]
    pub fn is_on_loopback(&self) -> bool {
        [&self.http, &self.https].into_iter().flatten().any(|url| is_on_loopback(url))
    }

    fn exceptions(&self, scope: &ProxyScope) -> Vec<String> {
        let settings = scope.settings;
        let cluster = [
            scope.node.addresses.ipv4.to_string(),
            settings.pod_subnet.to_string(),
            settings.service_subnet.to_string(),
            scope.node.name.to_string(),
            names::CONTROL_PLANE_HOST.to_owned(),
        ];
        let container = scope.addresses.iter().map(IpAddr::to_string);
        let networks = scope.networks.iter().map(Ipv4Net::to_string);
        let own = Some(scope.hostname.to_owned()).filter(|name| !name.is_empty());
        let mut all = self.exceptions.clone();
        let inside = INSIDE.map(str::to_owned).into_iter().chain(cluster).chain(container).chain(networks).chain(own);
        for exception in inside {
            if !all.contains(&exception) {
                all.push(exception);
            }
        }
        all
    }
}

/// Whether a proxy's URL leads to the loopback of the program that uses it.
#[must_use]
pub fn is_on_loopback(url: &str) -> bool {
    host(url).is_some_and(|host| {
        host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

/// The host of a proxy's URL, whose scheme may be left out; none where it is no such URL.
fn host(url: &str) -> Option<&str> {
    let rest = match url.split_once("://") {
        Some(("http" | "https" | "socks5" | "socks5h", rest)) => rest,
        Some(_) => return None,
        None => url,
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (name, port) = match address.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (address, None),
    };
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    (is_name && port.is_none_or(|port| port.parse::<u16>().is_ok())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(variables: &[(&str, &str)]) -> Result<Option<Proxies>, Vec<ProxyError>> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        Proxies::from_variables(get)
    }

    fn environment(variables: &[(&str, &str)]) -> Vec<(String, String)> {
        let settings = ClusterSettings::default();
        let node = Node::control_plane(&settings);
        let scope = ProxyScope {
            settings: &settings,
            node: &node,
            addresses: &["192.0.2.7".parse().unwrap()],
            networks: &["192.0.2.0/24".parse().unwrap()],
            hostname: "f00d",
        };
        let text = |value: OsString| value.into_string().unwrap();
        let environment = ask(variables).unwrap().map(|proxies| proxies.environment(&scope)).unwrap_or_default();
        environment.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn both_spellings_are_read_and_both_are_handed_on() {
        let environment = environment(&[
            ("http_proxy", "http://proxy:3128"),
            ("HTTPS_PROXY", "proxy:3129"),
            ("https_proxy", "http://other:1"),
            ("NO_PROXY", ".corp.example, 10.0.0.0/8,localhost"),
        ]);
        let names: Vec<&str> = environment.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]);
        assert_eq!(environment[0].1, "http://proxy:3128");
        assert_eq!(environment[3].1, "proxy:3129", "of two the first counts");
        assert_eq!(
            environment[5].1,
            ".corp.example,10.0.0.0/8,localhost,127.0.0.0/8,::1,kubernetes,kubernetes.default,.svc,.svc.cluster.local,\
             .cluster.local,172.30.99.1,10.244.0.0/16,10.96.0.0/12,kind,control-plane.kubake.internal,192.0.2.7,\
             192.0.2.0/24,f00d"
        );
        for name in names {
            assert!(VARIABLES.contains(&name), "{name} would reach everybody");
        }
    }

    #[test]
    fn without_a_proxy_there_is_nothing_to_hand_on() {
        assert_eq!(ask(&[]), Ok(None));
        assert_eq!(ask(&[("HTTP_PROXY", ""), ("http_proxy", " "), ("NO_PROXY", "x.example")]), Ok(None));
        let spelled = environment(&[("HTTP_PROXY", ""), ("http_proxy", "http://proxy:3128")]);
        assert_eq!(spelled[0], ("HTTP_PROXY".to_owned(), "http://proxy:3128".to_owned()), "empty is not set");
    }

    #[test]
    fn what_is_no_proxy_is_told_by_name_and_never_by_value() {
        for value in ["http://", "ftp://proxy:21", "http://me:hunter22@", "http://proxy:port", "a b"] {
            let errors = ask(&[("https_proxy", value), ("HTTP_PROXY", value)]).unwrap_err();
            let reported = errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            assert!(
                reported.starts_with("HTTP_PROXY: this is not") && reported.contains("; https_proxy: "),
                "{reported}"
            );
            assert!(!reported.contains("hunter22"), "{reported}");
        }
        let proxies = ask(&[("HTTP_PROXY", "http://me:hunter22@proxy:3128")]).unwrap().unwrap();
        assert!(!format!("{proxies:?}").contains("hunter22"));
    }

    #[test]
    fn a_proxy_on_loopback_is_noticed() {
        for (url, expected) in [
            ("http://127.0.0.1:3128", true),
            ("localhost:3128", true),
            ("http://me:pass@[::1]:3128/", true),
            ("http://proxy.example:3128", false),
            ("socks5://10.0.0.1", false),
        ] {
            let proxies = ask(&[("HTTPS_PROXY", url)]).unwrap().unwrap();
            assert_eq!(proxies.is_on_loopback(), expected, "{url}");
        }
    }
}
