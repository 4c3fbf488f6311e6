//! Asks dockerd for `/_ping`. Owns the request and the errors. Starts nothing and waits no longer than the given time.

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
    /// The socket is missing or not served.
    #[error("docker socket {socket} does not accept connections")]
    Connect {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The connection broke, or the answer is no HTTP.
    #[error("docker socket {socket} does not speak http")]
    Http {
        socket: PathBuf,
        #[source]
        source: hyper::Error,
    },
    /// The answer's status is not 200.
    #[error("docker answered the ping on {socket} with {status}")]
    Status { socket: PathBuf, status: StatusCode },
    /// The answer to the ping did not end.
    #[error("docker's answer to the ping on {socket} cannot be read")]
    Body {
        socket: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer arrived in time.
    #[error("docker did not answer the ping on {socket} within {waited:?}")]
    Timeout { socket: PathBuf, waited: Duration },
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
    // The request's own error reports that the connection ended; the driver's adds nothing.
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
    async fn each_failure_of_a_ping_has_its_error() {
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
