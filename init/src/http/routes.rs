//! The answer to each request. The endpoints are the contract's, and readiness is the board's. Knows nothing of
//! connections.

use std::net::IpAddr;
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use kubake_contract::error_chain::chain;
use kubake_contract::status::{Readiness, State, Status};
use kubake_contract::{Endpoint, Guard};

use super::answer::{Answer, BOOTING, HTML, TEXT, body, misdirected, not_found, text, unauthorized, unavailable};
use super::guard::Refusal;
use super::query::{self, parameter};
use super::site::Site;
use super::{credentials, guard, logs, page};
use crate::kubeconfig::Part;
use crate::usage;

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
    if guard != Guard::Open {
        if let Err(refusal) = guard::check(request, site) {
            return match refusal {
                Refusal::Token => {
                    site.journal.refused(endpoint.path(), peer);
                    unauthorized()
                }
                Refusal::Host(host) => {
                    site.journal.misdirected(endpoint.path(), peer);
                    misdirected(&host)
                }
            };
        }
    }
    let answer = serve(endpoint, request, site).await;
    if guard == Guard::Credentials && answer.status() == StatusCode::OK && request.method == Method::GET {
        site.journal.fetched(endpoint.path(), peer);
    }
    answer
}

/// The parts of a status that this caller may see.
fn visible(status: Status, request: &Parts, site: &Site) -> Status {
    if guard::check(request, site).is_ok() { status } else { guard::without_logs(status) }
}

/// Answers at one endpoint, whose guard the caller of this function has checked.
async fn serve(endpoint: Endpoint<'_>, request: &Parts, site: &Site) -> Answer {
    match endpoint {
        Endpoint::Index => index(request, site),
        Endpoint::Healthz => text(StatusCode::OK, "ok\n"),
        Endpoint::DockerReady => readiness(request, site, |status| &status.docker).await,
        Endpoint::KubernetesReady => readiness(request, site, |status| &status.kubernetes).await,
        Endpoint::Config => credentials::config(request, site).await,
        Endpoint::CaCert => credentials::part(site, Part::Ca).await,
        Endpoint::ClientCert => credentials::part(site, Part::ClientCert).await,
        Endpoint::ClientKey => credentials::part(site, Part::ClientKey).await,
        Endpoint::DockerClient => credentials::docker_client(site).await,
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
    // Takes a few milliseconds, in which the runtime's one thread serves other callers.
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

/// Answers for one of the two readinesses, after a wait of at most `?wait=`.
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
    // A timeout is no error here, and the sender lives as long as the site: in both cases the board is read again.
    drop(tokio::time::timeout(wait, board.wait_for(settled)).await);
    let status = visible(board.borrow().clone(), request, site);
    let readiness = of(&status);
    if readiness.ready && !ended(&status) {
        return text(StatusCode::OK, "ready\n");
    }
    let mut missing = String::new();
    if ended(&status) {
        let end = if status.state == State::Failed { "the boot failed" } else { "the container is stopping" };
        missing = match &status.reason {
            Some(reason) => format!("{end}: {reason}\n"),
            None => format!("{end}\n"),
        };
    }
    for line in &readiness.missing {
        missing.push_str(line);
        missing.push('\n');
    }
    let mut answer = unavailable(missing);
    if status.state == State::Booting {
        answer.headers_mut().insert(BOOTING, HeaderValue::from_static("true"));
    }
    answer
}

/// Whether a cluster that is not ready now never will be.
fn ended(status: &Status) -> bool {
    matches!(status.state, State::Failed | State::Stopping)
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

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT);
    accept.iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}
