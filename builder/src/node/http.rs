//! One GET at a time from a cluster's HTTP port. Knows no endpoint and interprets no answer.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper_util::rt::TokioIo;
use kubake_contract::token::Token;
use thiserror::Error;
use tokio::net::TcpStream;

/// Larger than any answer of ours.
const MOST: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("failed to connect to {address}")]
    Connect {
        /// Host and port.
        address: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// The connection broke, or what came is no HTTP.
    #[error("failed to request http://{address}{path}")]
    Http {
        /// Host and port.
        address: String,
        /// Path and query.
        path: String,
        #[source]
        source: hyper::Error,
    },
    /// The answer is too long.
    #[error("the answer of http://{address}{path} is broken or longer than 16 MiB")]
    Body {
        /// Host and port.
        address: String,
        /// Path and query.
        path: String,
    },
    /// No answer in time.
    #[error("http://{address}{path} does not answer within {} s", .after.as_secs())]
    TimedOut {
        /// Host and port.
        address: String,
        /// Path and query.
        path: String,
        after: Duration,
    },
    /// The request cannot be made.
    #[error("http://{address}{path} is not a valid address")]
    Address {
        /// Host and port.
        address: String,
        /// Path and query.
        path: String,
        #[source]
        source: hyper::http::Error,
    },
    /// The HTTP client could not start.
    #[error("failed to start the HTTP client")]
    Runtime(#[source] std::io::Error),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Body; bytes that are not UTF-8 are replaced.
    pub(crate) body: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// Host and port as they stand in a URL.
    address: String,
}

impl Server {
    /// The server at a host (a name or an address, IPv6 without brackets) and a port.
    #[must_use]
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { address }
    }

    /// Host and port.
    #[must_use]
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Asks for `path` and waits for the whole answer, at most `timeout`.
    ///
    /// # Errors
    /// See [`Error`]; a status other than 200 is none.
    pub(crate) fn get(&self, path: &str, timeout: Duration) -> Result<Response, Error> {
        self.get_with(path, None, timeout)
    }

    /// The same, bearing a token where there is one.
    ///
    /// # Errors
    /// See [`Error`]; a status other than 200 is none.
    pub(crate) fn get_with(&self, path: &str, token: Option<&Token>, timeout: Duration) -> Result<Response, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
        runtime.block_on(async {
            match tokio::time::timeout(timeout, self.ask(path, token)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::TimedOut { address: self.address.clone(), path: path.to_owned(), after: timeout }),
            }
        })
    }

    async fn ask(&self, path: &str, token: Option<&Token>) -> Result<Response, Error> {
        let address = || self.address.clone();
        let path_text = || path.to_owned();
        let http = |source| Error::Http { address: address(), path: path_text(), source };
        let stream =
            TcpStream::connect(&self.address).await.map_err(|source| Error::Connect { address: address(), source })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        let unfit = |source| Error::Address { address: address(), path: path_text(), source };
        let mut request = Request::get(path)
            .header(header::HOST, &self.address)
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(unfit)?;
        if let Some(token) = token {
            let mut bearer =
                HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|error| unfit(error.into()))?;
            // Debug output must not show it.
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
        // The connection's own error shows up in the request, too.
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(http)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MOST)
            .collect()
            .await
            .map_err(|_| Error::Body { address: address(), path: path_text() })?;
        driver.abort();
        Ok(Response { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn answers_are_read_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).unwrap();
            stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nno: x").unwrap();
            String::from_utf8_lossy(&buffer[..count]).into_owned()
        });
        let response = Server::new("127.0.0.1", port).get("/ready?wait=1s", Duration::from_secs(10)).unwrap();
        assert_eq!(response, Response { status: 503, body: "no: x".to_owned() });
        let request = server.join().unwrap();
        assert!(request.starts_with("GET /ready?wait=1s HTTP/1.1\r\n"), "{request}");
        assert!(request.contains(&format!("host: 127.0.0.1:{port}")), "{request}");
    }

    #[test]
    fn silence_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = Server::new("127.0.0.1", port).get("/", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
        drop(listener);
        let error = Server::new("127.0.0.1", port).get("/", Duration::from_secs(10)).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }), "{error}");
    }

    #[test]
    fn ipv6_gets_its_brackets() {
        assert_eq!(Server::new("::1", 80).address(), "[::1]:80");
        assert_eq!(Server::new("docker", 80).address(), "docker:80");
    }
}
