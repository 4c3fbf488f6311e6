//! What is answered to which request. Owns status codes and headers; the endpoints are the contract's. Knows nothing of
//! connections, and reads the board for everything that is called ready.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use kubake_contract::error_chain::chain;
use kubake_contract::status::{Readiness, State, Status};
use kubake_contract::{Endpoint, Guard, ports};
use tokio::io::AsyncReadExt;

use super::{Site, bundle, forwarded, guard, logs, page, query};
use crate::kubeconfig::address::{self, Host, Server};
use crate::kubeconfig::{self, Format, Part};
use crate::usage;

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const PEM: &str = "application/x-pem-file";
const TAR: &str = "application/x-tar";
const HTML: &str = "text/html; charset=utf-8";

/// kubeadm's kubeconfig has about 6 KiB.
const MOST_KUBECONFIG_BYTES: u64 = 1 << 20;

/// Answers a request of `peer`.
pub(super) async fn respond(request: &Parts, site: &Site, peer: IpAddr) -> Answer {
    let Some(endpoint) = Endpoint::from_path(request.uri.path()) else {
        return not_found(&format!("there is nothing here; there are\n{}", page::endpoints_as_text()));
    };
    if request.method != Method::GET && request.method != Method::HEAD {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD work here\n");
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    // Before the match below, so that no arm of it can forget the guard.
    let guard = endpoint.guard();
    if guard != Guard::Open && !is_trusted(request, site) {
        site.journal.refused(endpoint.path(), peer);
        return unauthorized();
    }
    let answer = serve(endpoint, request, site).await;
    if guard == Guard::Credentials && answer.status() == StatusCode::OK && request.method == Method::GET {
        site.journal.fetched(endpoint.path(), peer);
    }
    answer
}

/// Whether nothing is kept from a caller.
fn is_trusted(request: &Parts, site: &Site) -> bool {
    site.token.as_ref().is_none_or(|token| guard::bears(&request.headers, token))
}

/// A status, as far as this caller may see it.
fn visible(status: Status, request: &Parts, site: &Site) -> Status {
    if is_trusted(request, site) { status } else { guard::without_logs(status) }
}

/// Answers at one endpoint, whose guard the caller of this function has checked.
async fn serve(endpoint: Endpoint<'_>, request: &Parts, site: &Site) -> Answer {
    match endpoint {
        Endpoint::Index => index(request, site),
        Endpoint::Healthz => text(StatusCode::OK, "ok\n"),
        Endpoint::DockerReady => readiness(request, site, |status| &status.docker).await,
        Endpoint::KubernetesReady => readiness(request, site, |status| &status.kubernetes).await,
        Endpoint::Config => config(request, site).await,
        Endpoint::CaCert => part(site, Part::Ca).await,
        Endpoint::ClientCert => part(site, Part::ClientCert).await,
        Endpoint::ClientKey => part(site, Part::ClientKey).await,
        Endpoint::DockerClient => docker_client(site).await,
        Endpoint::KubernetesVersion => text(StatusCode::OK, format!("{}\n", site.settings.kubernetes_version)),
        Endpoint::StaticIp => text(StatusCode::OK, format!("{}\n", site.node.addresses.ipv4)),
        Endpoint::Status => status(request, site),
        Endpoint::Usage => usage(site).await,
        Endpoint::Logs => all_logs(request, site).await,
        Endpoint::Log(name) => one_log(request, site, name).await,
    }
}

fn index(request: &Parts, site: &Site) -> Answer {
    let status = visible(site.board.snapshot(), request, site);
    let mut answer = if wants_html(&request.headers) {
        body(StatusCode::OK, HTML, page::html(&status, site))
    } else {
        text(StatusCode::OK, page::text(&status, site))
    };
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept"));
    answer
}

fn status(request: &Parts, site: &Site) -> Answer {
    match serde_json::to_string_pretty(&visible(site.board.snapshot(), request, site)) {
        Ok(json) => body(StatusCode::OK, "application/json", json + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("status cannot be written: {error}\n")),
    }
}

async fn usage(site: &Site) -> Answer {
    let root = site.root.clone();
    // A few milliseconds, in which the one thread of the runtime has others to serve.
    let json = match tokio::task::spawn_blocking(move || usage::read_at(&root)).await {
        Ok(Ok(usage)) => serde_json::to_string_pretty(&usage).map_err(|error| error.to_string()),
        Ok(Err(error)) => Err(chain(&error)),
        Err(error) => Err(error.to_string()),
    };
    match json {
        Ok(json) => body(StatusCode::OK, "application/json", json + "\n"),
        Err(error) => {
            tracing::warn!(%error, "http: usage could not be read");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("usage cannot be read: {error}\n"))
        }
    }
}

/// Answers for one of the two readinesses, after waiting for it if the caller asks for that.
async fn readiness(request: &Parts, site: &Site, of: fn(&Status) -> &Readiness) -> Answer {
    let wait = match parameter(request, "wait") {
        None => Duration::ZERO,
        Some(value) => match query::duration(&value) {
            Some(wait) => wait,
            None => return text(StatusCode::BAD_REQUEST, "wait takes a time such as 60s, 5m or 500ms\n"),
        },
    };
    let mut board = site.board.subscribe();
    let settled = |status: &Status| ended(status) || of(status).ready;
    // A timeout is no error here, and the sender lives as long as the site: either way the board is asked again.
    drop(tokio::time::timeout(wait, board.wait_for(settled)).await);
    let status = visible(board.borrow().clone(), request, site);
    let readiness = of(&status);
    if readiness.ready && !ended(&status) {
        return text(StatusCode::OK, "ready\n");
    }
    let mut missing = String::new();
    if ended(&status) {
        let what = if status.state == State::Failed { "the boot failed" } else { "the container is stopping" };
        missing = match &status.reason {
            Some(reason) => format!("{what}: {reason}\n"),
            None => format!("{what}\n"),
        };
    }
    for line in &readiness.missing {
        missing.push_str(line);
        missing.push('\n');
    }
    unavailable(missing)
}

/// Whether what is not ready now never will be.
fn ended(status: &Status) -> bool {
    matches!(status.state, State::Failed | State::Stopping)
}

async fn config(request: &Parts, site: &Site) -> Answer {
    let asked = || -> Result<_, kubeconfig::KubeconfigError> {
        let format = parameter(request, "format").map_or(Ok(Format::default()), |name| Format::parse(&name))?;
        let port = parameter(request, "port").map(|text| address::port(&text)).transpose()?;
        let default_port = port.unwrap_or(site.api_port);
        let server = parameter(request, "server").map(|text| Server::parse(&text, default_port)).transpose()?;
        Ok((format, port, server))
    };
    let (format, port, server) = match asked() {
        Ok(asked) => asked,
        Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
    };
    let server = server.unwrap_or_else(|| {
        let called = caller_reached_us_as(request, site);
        Server { port: port.unwrap_or(called.port), ..called }
    });
    let rendered = match admin_kubeconfig(site).await {
        Ok(admin) => kubeconfig::render(&admin, &server, format),
        Err(answer) => return answer,
    };
    match rendered {
        Ok(rendered) => body(StatusCode::OK, format.content_type(), rendered),
        Err(error) => unusable(&error),
    }
}

/// One certificate or key out of the kubeconfig.
async fn part(site: &Site, part: Part) -> Answer {
    let pem = match admin_kubeconfig(site).await {
        Ok(admin) => kubeconfig::pem(&admin, part),
        Err(answer) => return answer,
    };
    match pem {
        Ok(pem) => body(StatusCode::OK, PEM, pem),
        Err(error) => unusable(&error),
    }
}

/// kubeadm's kubeconfig, or the answer that says why there is none.
async fn admin_kubeconfig(site: &Site) -> Result<String, Answer> {
    read_bounded(&site.kubeconfig_path).await.map_err(|error| {
        unavailable(format!("there is no kubeconfig yet: {}: {error}\n", site.kubeconfig_path.display()))
    })
}

/// Somebody is writing the kubeconfig, most likely.
fn unusable(error: &kubeconfig::KubeconfigError) -> Answer {
    unavailable(format!("the kubeconfig cannot be used yet: {}\n", chain(error)))
}

async fn docker_client(site: &Site) -> Answer {
    match bundle::docker_client(&site.docker_client_dir).await {
        Ok(archive) => body(StatusCode::OK, TAR, archive),
        Err(error) => unavailable(format!("there are no certificates for Docker clients yet: {}\n", chain(&error))),
    }
}

/// The API server's address as this caller can use it.
fn caller_reached_us_as(request: &Parts, site: &Site) -> Server {
    let fixed = Host::Ip(site.node.addresses.ipv4.into());
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let mut named = || match (request.uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => address::split_authority(authority.as_str()),
        (None, Some(host), None) => address::split_authority(host.to_str().ok()?),
        _ => None,
    };
    // A proxy before us knows better than the name by which it calls us itself.
    match forwarded::host(&request.headers).or_else(|| named().map(|(host, _port)| host)) {
        Some(host) if host != fixed => Server { host, port: site.api_port },
        // Nothing is published on the static address: whoever can reach it is inside, where the port is our own.
        _ => Server { host: fixed, port: ports::API },
    }
}

async fn read_bounded(path: &Path) -> io::Result<String> {
    let file = tokio::fs::File::open(path).await?;
    let mut text = String::new();
    file.take(MOST_KUBECONFIG_BYTES).read_to_string(&mut text).await?;
    Ok(text)
}

async fn all_logs(request: &Parts, site: &Site) -> Answer {
    match logs::names(&site.logs_dir).await {
        Ok(names) if wants_html(&request.headers) => body(StatusCode::OK, HTML, page::logs_as_html(&names)),
        Ok(names) => text(StatusCode::OK, names.into_iter().map(|name| name + "\n").collect::<String>()),
        Err(error) => log_error(&error),
    }
}

async fn one_log(request: &Parts, site: &Site, name: &str) -> Answer {
    let lines = match parameter(request, "lines") {
        None => logs::DEFAULT_LINES,
        Some(value) => match value.parse::<usize>() {
            Ok(lines) => lines.min(logs::MOST_LINES),
            Err(_) => return text(StatusCode::BAD_REQUEST, "lines takes a number\n"),
        },
    };
    match logs::tail(&site.logs_dir, name, lines).await {
        Ok(tail) => body(StatusCode::OK, TEXT, tail),
        Err(error) => log_error(&error),
    }
}

fn log_error(error: &logs::LogError) -> Answer {
    match error {
        logs::LogError::Unknown => not_found(&format!("there is no such log; {} lists them\n", Endpoint::Logs.path())),
        logs::LogError::Busy => unavailable(format!("{error}\n")),
        logs::LogError::List { .. } | logs::LogError::Read { .. } => {
            tracing::warn!(error = %chain(error), "http: a log could not be served");
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", chain(error)))
        }
    }
}

fn parameter(request: &Parts, key: &str) -> Option<String> {
    query::value(request.uri.query(), key)
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT);
    accept.iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}

fn not_found(why: &str) -> Answer {
    text(StatusCode::NOT_FOUND, why.to_owned())
}

fn unauthorized() -> Answer {
    let mut answer = text(
        StatusCode::UNAUTHORIZED,
        "credentials and logs of this cluster take its token: send the header `Authorization: Bearer TOKEN`\n",
    );
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"kubake\""));
    answer
}

fn unavailable(why: impl Into<Bytes>) -> Answer {
    let mut answer = text(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn text(code: StatusCode, text: impl Into<Bytes>) -> Answer {
    body(code, TEXT, text)
}

fn body(code: StatusCode, content_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()));
    *answer.status_mut() = code;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        // An answer is true for the moment only, and `/config` holds a key.
        (header::CACHE_CONTROL, "no-store"),
        // Logs hold whatever programs print: no browser may take them for a page.
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}
