//! Requests of the guard to dockerd, each on a connection of its own. Knows no endpoint.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Limit on one request; the removal of a large image on a slow disk takes minutes.
const PATIENCE: Duration = Duration::from_secs(600);
/// Limit on one answer: the list of thousands of images.
const MOST_BYTES: usize = 32 << 20;

/// Why dockerd gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    #[error("dockerd does not accept connections on {}", socket.display())]
    Connect {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("dockerd does not answer {target}")]
    Http {
        target: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("dockerd does not answer {target} within {} s", PATIENCE.as_secs())]
    Timeout { target: String },
    #[error("{message}")]
    Refused { message: String },
}

/// dockerd behind its own socket.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    socket: PathBuf,
}

impl Engine {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    /// Sends a request without a body and returns the answer's JSON.
    ///
    /// # Errors
    /// [`EngineError::Refused`] for every status but 200, otherwise what broke.
    pub(super) async fn ask(&self, method: Method, target: &str) -> Result<Value, EngineError> {
        match timeout(PATIENCE, self.ask_forever(method, target)).await {
            Ok(result) => result,
            Err(_) => Err(EngineError::Timeout { target: target.to_owned() }),
        }
    }

    async fn ask_forever(&self, method: Method, target: &str) -> Result<Value, EngineError> {
        fn http<E: Into<Box<dyn std::error::Error + Send + Sync>>>(target: &str) -> impl Fn(E) -> EngineError {
            move |source| EngineError::Http { target: target.to_owned(), source: source.into() }
        }
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| EngineError::Connect { socket: self.socket.clone(), source })?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(http(target))?;
        let mut tasks = JoinSet::new();
        // The request's own error reports that the connection ended.
        tasks.spawn(async move { drop(connection.await) });
        let request = Request::builder().method(method).uri(target).header(hyper::header::HOST, "docker");
        let request = request.body(Empty::<Bytes>::new()).map_err(http(target))?;
        let response = sender.send_request(request).await.map_err(http(target))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST_BYTES).collect().await.map_err(http(target))?.to_bytes();
        let value: Value = serde_json::from_slice(&body).map_err(http(target))?;
        if status == StatusCode::OK {
            return Ok(value);
        }
        let message = value["message"].as_str().unwrap_or("no reason given").to_owned();
        Err(EngineError::Refused { message })
    }
}
