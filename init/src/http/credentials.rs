//! Answers that carry the cluster's credentials: the kubeconfig, its certificates and key, and the archive for Docker
//! clients. Checks no token: `routes` does, before it calls.

use std::io;
use std::path::Path;

use hyper::header;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use kubake_contract::error_chain::chain;
use kubake_contract::ports;
use tokio::io::AsyncReadExt;

use super::answer::{Answer, body, text, unavailable};
use super::query::parameter;
use super::site::Site;
use super::{asked_name, bundle, forwarded};
use crate::kubeconfig::address::{self, Host, Server};
use crate::kubeconfig::{self, Format, Part};

const PEM: &str = "application/x-pem-file";
const TAR: &str = "application/x-tar";

/// kubeadm's kubeconfig has about 6 KiB.
const MOST_KUBECONFIG_BYTES: u64 = 1 << 20;

pub(super) async fn config(request: &Parts, site: &Site) -> Answer {
    let parse = || -> Result<_, kubeconfig::KubeconfigError> {
        let format = parameter(request, "format").map_or(Ok(Format::default()), |name| Format::parse(&name))?;
        let port = parameter(request, "port").map(|text| address::port(&text)).transpose()?;
        let default_port = port.unwrap_or(site.api_port);
        let server = parameter(request, "server").map(|text| Server::parse(&text, default_port)).transpose()?;
        Ok((format, port, server))
    };
    let (format, port, server) = match parse() {
        Ok(parameters) => parameters,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let server = server.unwrap_or_else(|| {
        let called = server_as_called(request, site);
        Server { port: port.unwrap_or(called.port), ..called }
    });
    let admin = match admin_kubeconfig(site).await {
        Ok(admin) => admin,
        Err(answer) => return answer,
    };
    let rendered = kubeconfig::render(&admin, &server, format);
    // Not for a page of another site, which cannot read the answer: it would only use up the room in the certificate.
    if rendered.is_ok() && request.method == Method::GET && !is_of_another_site(request) {
        asked_name::serve(&server.host, &admin, site).await;
    }
    match rendered {
        Ok(rendered) => body(StatusCode::OK, format.content_type(), rendered),
        Err(error) => unusable(&error),
    }
}

/// Whether a browser sends the request for a page of another site (Fetch Metadata).
fn is_of_another_site(request: &Parts) -> bool {
    request.headers.get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin")
}

/// One certificate or key out of the kubeconfig.
pub(super) async fn part(site: &Site, part: Part) -> Answer {
    let pem = match admin_kubeconfig(site).await {
        Ok(admin) => kubeconfig::pem(&admin, part),
        Err(answer) => return answer,
    };
    match pem {
        Ok(pem) => body(StatusCode::OK, PEM, pem),
        Err(error) => unusable(&error),
    }
}

/// kubeadm's kubeconfig, or the answer with the reason why there is none.
async fn admin_kubeconfig(site: &Site) -> Result<String, Answer> {
    read_bounded(&site.kubeconfig_path).await.map_err(|error| {
        unavailable(format!("there is no kubeconfig yet: {}: {error}\n", site.kubeconfig_path.display()))
    })
}

/// Most likely another program is writing the kubeconfig.
fn unusable(error: &kubeconfig::KubeconfigError) -> Answer {
    unavailable(format!("the kubeconfig cannot be used yet: {}\n", chain(error)))
}

pub(super) async fn docker_client(site: &Site) -> Answer {
    match bundle::docker_client(&site.docker_client_dir).await {
        Ok(archive) => body(StatusCode::OK, TAR, archive),
        Err(error) => unavailable(format!("there are no certificates for Docker clients yet: {}\n", chain(&error))),
    }
}

/// The API server's address as this caller can use it.
fn server_as_called(request: &Parts, site: &Site) -> Server {
    let fixed = Host::Ip(site.node.addresses.ipv4.into());
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let mut named = || match (request.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => address::split_authority(authority.as_str()),
        (None, Some(host), None) => address::split_authority(host.to_str().ok()?),
        _ => None,
    };
    // A proxy forwards the name that its caller used; its own `Host` names this server.
    match forwarded::host(&request.headers).or_else(|| named().map(|(host, _port)| host)) {
        Some(host) if host != fixed => Server { host, port: site.api_port },
        // No port is published on the static address: a caller that uses it is inside, where the API server's own port
        // applies.
        _ => Server { host: fixed, port: ports::API },
    }
}

async fn read_bounded(path: &Path) -> io::Result<String> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = String::new();
    file.take(MOST_KUBECONFIG_BYTES).read_to_string(&mut text).await?;
    Ok(text)
}
