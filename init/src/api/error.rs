//! Errors of requests to the API server, by what a caller can do about them. Owns their classification, nothing else.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio_rustls::rustls;

use crate::kubeconfig::KubeconfigError;

/// How much of an answer that is no `Status` a message repeats.
const MOST_CHARACTERS: usize = 2000;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig for the api server cannot be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// A certificate or key in the kubeconfig cannot be used.
    #[error("{what} of the kubeconfig cannot be used")]
    Credentials {
        /// Its name in the kubeconfig.
        what: &'static str,
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The path is no valid URI path.
    #[error("`{path}` is not a path of the api server")]
    Path { path: String },
    /// The body cannot be written as JSON.
    #[error("body of {request} cannot be written as json")]
    Encode {
        /// Method and path.
        request: String,
        #[source]
        source: serde_json::Error,
    },
    /// The port is closed, or the server behind it does not speak TLS yet.
    #[error("api server at {address} is not reachable yet")]
    Unreachable {
        address: String,
        #[source]
        source: io::Error,
    },
    /// The server listens, and one side does not trust the other.
    #[error("tls with the api server at {address} failed")]
    Tls {
        address: String,
        #[source]
        source: rustls::Error,
    },
    /// The connection broke while it was in use.
    #[error("connection to the api server broke during {request}")]
    Transport {
        /// Method and path.
        request: String,
        #[source]
        source: hyper::Error,
    },
    /// No answer arrived in time, or nothing arrived on a watch.
    #[error("api server was silent for {waited:?} during {request}")]
    Timeout {
        /// Method and path.
        request: String,
        waited: Duration,
    },
    /// The API server refused the request.
    #[error("api server answered {request} with {code}: {message}")]
    Status {
        /// Method and path.
        request: String,
        /// The HTTP status.
        code: StatusCode,
        /// The reason in one word, such as `AlreadyExists`; empty when it gave none.
        reason: String,
        message: String,
    },
    /// The answer is longer than any expected one.
    #[error("answer to {request} is longer than {limit} bytes")]
    TooLarge {
        /// Method and path.
        request: String,
        /// The most bytes that are accepted.
        limit: usize,
    },
    /// The answer is not what was expected.
    #[error("answer to {request} cannot be parsed")]
    Decode {
        /// Method and path.
        request: String,
        #[source]
        source: serde_json::Error,
    },
}

impl ApiError {
    /// Whether there is no such object.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { code, .. } if *code == StatusCode::NOT_FOUND)
    }

    /// Whether there is such an object already.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { code, .. } if *code == StatusCode::CONFLICT)
    }

    /// An error of a request that was sent: in TLS 1.3 a rejected client certificate shows only now.
    pub(super) fn transport(request: &str, address: &str, source: hyper::Error) -> Self {
        match tls_cause(&source) {
            Some(source) => Self::Tls { address: address.to_owned(), source },
            None => Self::Transport { request: request.to_owned(), source },
        }
    }

    /// An error while connecting.
    pub(super) fn connect(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match tls_cause(&source) {
            Some(source) => Self::Tls { address, source },
            None => Self::Unreachable { address, source },
        }
    }

    /// An answer with a status other than success.
    pub(super) fn status(request: &str, code: StatusCode, body: &[u8]) -> Self {
        let request = request.to_owned();
        match serde_json::from_slice::<StatusObject>(body) {
            Ok(status) if status.kind == "Status" => {
                Self::Status { request, code, reason: status.reason, message: status.message }
            }
            // `/readyz` and everything in front of the API proper answer in plain text.
            _ => {
                let text = String::from_utf8_lossy(body);
                let message = text.trim().chars().take(MOST_CHARACTERS).collect();
                Self::Status { request, code, reason: String::new(), message }
            }
        }
    }
}

/// The readable part of `metav1.Status`.
#[derive(Debug, Deserialize)]
struct StatusObject {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

/// The first TLS error among the sources of an error.
fn tls_cause(error: &(dyn Error + 'static)) -> Option<rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls.clone());
        }
        // An `io::Error` does not show what it carries as its source, only that one's source.
        let carried = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => error.source(),
        };
    }
    None
}
