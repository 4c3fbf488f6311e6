//! Connections to the server, their number and their time limits. What is answered is in `routes`.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::site::Site;
use super::{query, routes, stall};
use crate::admission::{Admission, Limits};

/// Connections at a time; a further one is closed at once and does not wait. All callers outside may have one address, that
/// of the engine's gateway.
pub(super) const MOST_CONNECTIONS: Limits = Limits { all: 256, each: 128 };
/// How long a caller may take to send a request's head, and how long a connection may lie idle between requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a caller may read nothing of its answer.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection of this age ends after its current answer. Longer than the longest wait.
const CONNECTION_LIFETIME: Duration = Duration::from_secs(query::LONGEST_WAIT.as_secs() + 60);
/// How long answers may continue after a stop.
const GRACE: Duration = Duration::from_secs(3);
/// The most headers in a request.
const MOST_HEADERS: usize = 64;
const MOST_HEAD_BYTES: usize = 16 * 1024;

/// Serves `site` on all listeners until `shutdown`, then gives running answers a short time to end.
pub(crate) async fn serve(listeners: Vec<TcpListener>, site: Arc<Site>, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    let stop = CancellationToken::new();
    let connections = TaskTracker::new();
    let admission = Admission::new("http", "connections", MOST_CONNECTIONS);
    loop {
        let next = select_all(listeners.iter().map(|listener| Box::pin(admission.accept(listener))));
        let (stream, peer, place) = tokio::select! {
            (accepted, _, _) = next => accepted,
            () = &mut shutdown => break,
        };
        let (site, stop) = (Arc::clone(&site), stop.clone());
        connections.spawn(async move {
            // The answer to a long poll is one small segment that the caller waits for.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "http: TCP_NODELAY was refused");
            }
            converse(stream, peer.ip(), site, stop).await;
            drop(place);
        });
    }
    drop(listeners);
    stop.cancel();
    connections.close();
    if tokio::time::timeout(GRACE + Duration::from_secs(1), connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "http: connections outlived the stop");
    }
}

/// Serves one connection until either side ends it.
pub(super) async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: IpAddr,
    site: Arc<Site>,
    stop: CancellationToken,
) {
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (parts, body) = request.into_parts();
        // No endpoint takes a body. It is never read, and the connection ends after the answer: a proxy in between may
        // measure the body in another way, and its rest must not be parsed as a request.
        let has_body = !body.is_end_stream();
        let site = Arc::clone(&site);
        async move {
            let mut answer = routes::respond(&parts, &site, peer).await;
            if has_body {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let stream = stall::WriteTimeout::new(stream, STALL_TIMEOUT);
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_headers(MOST_HEADERS)
            .max_buf_size(MOST_HEAD_BYTES)
            // A caller that is gone and one that closed only its sending half look the same; a wait must not outlive
            // the former.
            .half_close(false)
            .serve_connection(TokioIo::new(stream), service)
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => Ok(ended),
        () = stop.cancelled() => Err(()),
        () = tokio::time::sleep(CONNECTION_LIFETIME) => Err(()),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(()) => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %kubake_contract::error_chain::chain(&error), "http: a connection broke");
    }
}
