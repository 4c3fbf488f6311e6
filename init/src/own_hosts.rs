//! Host names that mean this container. A web page on another site can make its own name lead here (DNS rebinding); a
//! browser then sends requests of that page with that name, and shows it the answers. So where no token is set, requests are
//! answered with secrets only under names that no such page can have. Pure.

use std::collections::BTreeSet;

use hyper::header::{self, HeaderMap};
use hyper::http::request::Parts;

use crate::identity;
use crate::kubeconfig::address::{Host, split_authority};

/// The names in this container's certificates, and those that no site can have.
#[derive(Debug, Clone, Default)]
pub(crate) struct OwnHosts {
    names: BTreeSet<String>,
}

impl OwnHosts {
    /// Knows `names`, in which a first label may be `*`.
    #[must_use]
    pub(crate) fn new(names: BTreeSet<String>) -> Self {
        Self { names }
    }

    /// Whether a host means this container.
    #[must_use]
    pub(crate) fn contains(&self, host: &Host) -> bool {
        match host {
            // No name had to be resolved.
            Host::Ip(_) => true,
            Host::Name(name) => is_no_sites(name) || identity::covers(&self.names, name),
        }
    }

    /// The first name in a request's target or `Host` headers that does not mean this container, as it was written.
    pub(crate) fn stranger_in(&self, request: &Parts) -> Option<String> {
        let target = request.uri.authority().map(|authority| authority.as_str());
        self.stranger(target.map(str::as_bytes).into_iter().chain(hosts(&request.headers)))
    }

    /// The first of these `Host` values that does not mean this container. An empty one is no name: Docker's client sends
    /// it before a connection becomes a stream (`/grpc`, which every build uses), and no browser does.
    pub(crate) fn stranger<'a>(&self, authorities: impl Iterator<Item = &'a [u8]>) -> Option<String> {
        let mut authorities = authorities.filter(|authority| !authority.is_empty());
        let is_own = |authority: &[u8]| {
            let text = std::str::from_utf8(authority).ok()?;
            let (host, _port) = split_authority(&without_root(text))?;
            Some(self.contains(&host))
        };
        let stranger = authorities.find(|authority| is_own(authority) != Some(true))?;
        Some(String::from_utf8_lossy(stranger).escape_debug().take(100).collect())
    }
}

fn hosts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(header::HOST).iter().map(|value| value.as_bytes())
}

/// Leaves out the dot at a name's end, which stands for DNS' root.
fn without_root(authority: &str) -> String {
    match authority.split_once(':') {
        Some((name, port)) if name.ends_with('.') => format!("{}:{port}", name.trim_end_matches('.')),
        _ => authority.strip_suffix('.').unwrap_or(authority).to_owned(),
    }
}

/// Whether a name is one that no site on the internet can have.
fn is_no_sites(name: &str) -> bool {
    match name.rsplit_once('.') {
        // Aliases of services and names of containers.
        None => true,
        // RFC 6761: it is always the caller's own machine.
        Some((_, "localhost")) => true,
        // GitLab makes aliases of an image's name, such as `reg.example.com__ns__kind` and `reg.example.com-ns-kind`. No
        // top-level domain has an underscore, and none has a hyphen but those that begin with `xn--` (RFC 1123, RFC 5890).
        Some((_, top)) => top.contains('_') || top.contains('-') && !top.starts_with("xn--"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(host: &str) -> Option<String> {
        let names = ["kind.ns.svc", "*.mine.example", "host.docker.internal", "Ci.example"];
        OwnHosts::new(names.map(str::to_owned).into()).stranger([host.as_bytes()].into_iter())
    }

    #[test]
    fn names_that_no_site_can_have_and_own_ones_are_ours() {
        for host in [
            "",
            "127.0.0.1",
            "10.0.0.7:10080",
            "[::1]:10080",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:32768",
            "localhost.",
            "kind.localhost:10080",
            "docker:10080",
            "docker_kind",
            "kind-42.",
            "reg.example.com__ns__kind:10080",
            "reg.example.com-ns-kind",
            "kind.ns.svc:10080",
            "kind.ns.svc.",
            "a.mine.example",
            "host.docker.internal:80",
            "ci.EXAMPLE",
        ] {
            assert_eq!(stranger(host), None, "{host}");
        }
        for host in [
            "rebind.example",
            "rebind.example:10080",
            "127.0.0.1.nip.io",
            "a.b.mine.example",
            "mine.example",
            "kind.other.svc",
            "rebind.example.",
            "rebind.example.:10080",
            "rebind.xn--p1ai",
            "localhost.rebind.example",
            "1.2.3.256",
            "evil_name.example",
            "evil-name.example:80",
            "a\"b",
            ":80",
            "user@127.0.0.1",
            "127.0.0.1 rebind.example",
        ] {
            assert_eq!(stranger(host), Some(host.escape_debug().to_string()), "{host}");
        }
    }

    #[test]
    fn each_name_of_a_request_counts() {
        let hosts = OwnHosts::default();
        let request = |target: &str, headers: &[&str]| {
            let mut builder = hyper::Request::builder().uri(target);
            for host in headers {
                builder = builder.header("host", *host);
            }
            hosts.stranger_in(&builder.body(()).unwrap().into_parts().0)
        };
        assert_eq!(request("/config", &[]), None, "every browser sends one");
        assert_eq!(request("/config", &["docker", "localhost"]), None);
        assert_eq!(request("/config", &["docker", "a.example"]).as_deref(), Some("a.example"));
        assert_eq!(request("http://b.example/config", &["docker"]).as_deref(), Some("b.example"));
    }
}
