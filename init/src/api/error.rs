//! What can go wrong with the API server, told apart by what a caller would do about it. Owns no behaviour beyond
//! telling apart.

use std::error::Error;
use std::io;
use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use tokio_rustls::rustls;

use crate::kubeconfig::KubeconfigError;

/// How much of an answer that is no `Status` is worth repeating.
const MOST_CHARACTERS: usize = 2000;

/// Why a request did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The kubeconfig is not usable.
    #[error("kubeconfig for the api server cannot be used")]
    Kubeconfig(#[source] KubeconfigError),
    /// A certificate or key in it is not usable.
    #[error("{what} of the kubeconfig cannot be used")]
    Credentials {
        /// Its name in the kubeconfig.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The path is none.
    #[error("`{path}` is not a path of the api server")]
    Path {
        /// The path.
        path: String,
    },
    /// What was to be sent cannot be written as JSON.
    #[error("body of {request} cannot be written as json")]
    Encode {
        /// Method and path.
        request: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Nobody listens yet, or is not yet able to speak TLS.
    #[error("api server at {address} is not reachable yet")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody listens, and one side does not trust the other.
    #[error("tls with the api server at {address} failed")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The connection broke while it was in use.
    #[error("connection to the api server broke during {request}")]
    Transport {
        /// Method and path.
        request: String,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// No answer in time, or a watch on which nothing came.
    #[error("api server was silent for {waited:?} during {request}")]
    Timeout {
        /// Method and path.
        request: String,
        /// How long.
        waited: Duration,
    },
    /// The API server said no.
    #[error("api server answered {request} with {code}: {message}")]
    Status {
        /// Method and path.
        request: String,
        /// The HTTP status.
        code: StatusCode,
        /// The reason in one word, such as `AlreadyExists`; empty when it gave none.
        reason: String,
        /// What it said.
        message: String,
    },
    /// The answer is longer than anything we ask for.
    #[error("answer to {request} is longer than {limit} bytes")]
    TooLarge {
        /// Method and path.
        request: String,
        /// What would have been accepted.
        limit: usize,
    },
    /// The answer is not what was expected.
    #[error("answer to {request} cannot be understood")]
    Decode {
        /// Method and path.
        request: String,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl ApiError {
    /// An error of hyper's in words of ours: in TLS 1.3 a rejected client certificate shows only now.
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

    /// An answer that is a refusal.
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

/// The part of `metav1.Status` that is for people.
#[derive(Debug, Deserialize)]
struct StatusObject {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
}

/// The error of TLS under an error, where there is one.
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
