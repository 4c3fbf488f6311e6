//! Whether dockerd serves: the one question of its API that is asked here. Owns the question and every reason why the
//! answer is none. Starts nothing and waits no longer than it is told.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Why dockerd does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PingError {
    /// Its socket is not there or not served.
    #[error("docker socket {socket} does not accept connections")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke or spoke something else than HTTP.
    #[error("docker socket {socket} does not speak http")]
    Http {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The answer to the ping is not what it should be.
    #[error("docker answered the ping on {socket} with {status}")]
    Status {
        /// The socket.
        socket: PathBuf,
        /// The status.
        status: StatusCode,
    },
    /// The answer to the ping did not end.
    #[error("docker's answer to the ping on {socket} cannot be read")]
    Body {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came in time.
    #[error("docker did not answer the ping on {socket} within {waited:?}")]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// How long.
        waited: Duration,
    },
}

/// Asks dockerd on `socket` whether it serves.
pub(crate) async fn ping(socket: &Path, within: Duration) -> Result<(), PingError> {
    match timeout(within, ping_forever(socket)).await {
        Ok(result) => result,
        Err(_) => Err(PingError::Timeout { socket: socket.to_owned(), waited: within }),
    }
}

async fn ping_forever(socket: &Path) -> Result<(), PingError> {
    let path = || socket.to_owned();
    let http = |source| PingError::Http { socket: path(), source };
    let stream = UnixStream::connect(socket).await.map_err(|source| PingError::Connect { socket: path(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(64)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(http)?;
    // The error of a request alone never says why the connection ended, but it does say that it did.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/_ping");
    request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("docker"));
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(PingError::Status { socket: path(), status });
    }
    let body = Limited::new(response.into_body(), 1024).collect().await;
    body.map_err(|source| PingError::Body { socket: path(), source })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn a_ping_says_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let soon = Duration::from_secs(5);
        assert!(matches!(ping(&socket, soon).await, Err(PingError::Connect { .. })));
        let dockerd = UnixListener::bind(&socket).unwrap();
        assert!(matches!(ping(&socket, Duration::from_millis(50)).await, Err(PingError::Timeout { .. })));
        dockerd.accept().await.unwrap();
        type Expected = fn(&Result<(), PingError>) -> bool;
        let cases: [(&str, Expected); 4] = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", |result| result.is_ok()),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", |result| matches!(result, Err(PingError::Status { .. }))),
            ("SSH-2.0-x\r\n", |result| matches!(result, Err(PingError::Http { .. }))),
            ("", |result| matches!(result, Err(PingError::Http { .. }))),
        ];
        for (answer, expected) in cases {
            let server = async {
                let (mut stream, _) = dockerd.accept().await.unwrap();
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..length].starts_with(b"GET /_ping HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let (result, ()) = tokio::join!(ping(&socket, soon), server);
            assert!(expected(&result), "{answer:?}: {result:?}");
        }
        let endless = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(9999)).as_bytes()).await;
        };
        let (result, ()) = tokio::join!(ping(&socket, soon), endless);
        assert!(matches!(result, Err(PingError::Body { .. })), "{result:?}");
    }
}
