//! The client: requests, the connections that it keeps for the next one, and the time limits on both.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;

use super::connection::{Connection, Endpoint};
use super::error::ApiError;
use super::watch::Watch;

/// Limit on a request with its answer, so that a hung API server does not hang the caller.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The longest answer that is read.
const MOST_BYTES: usize = 32 << 20;
/// Connections that are kept for the next request.
const MOST_IDLE: usize = 4;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// The client; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    endpoint: Arc<Endpoint>,
    idle: Arc<Mutex<Vec<Connection>>>,
    timeout: Duration,
}

/// The parts of a request: a failed connection consumes the request, and the next attempt builds another from this.
struct Call<'a> {
    method: Method,
    path: &'a str,
    accept: &'static str,
    body: Option<(&'static str, Bytes)>,
}

impl Call<'_> {
    /// Method and path, for messages.
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Whether it may be sent twice. Applying the same object twice changes nothing.
    fn is_repeatable(&self) -> bool {
        self.method == Method::GET || self.body.as_ref().is_some_and(|(kind, _)| *kind == APPLY_PATCH)
    }
}

impl Client {
    /// A client with the credentials of a kubeconfig as kubeadm writes them. Connects to nothing yet.
    pub(crate) fn from_kubeconfig(yaml: &str) -> Result<Self, ApiError> {
        Ok(Self { endpoint: Arc::new(Endpoint::new(yaml)?), idle: Arc::default(), timeout: REQUEST_TIMEOUT })
    }

    /// Connects to `address` and not to the kubeconfig's; certificates are checked as before.
    #[must_use]
    pub(crate) fn connect_to(self, address: SocketAddr) -> Self {
        // Clones keep their address, and connections to it must not serve the new one.
        let endpoint = Arc::new(self.endpoint.at(address));
        Self { endpoint, idle: Arc::default(), timeout: self.timeout }
    }

    /// Gives requests `timeout` instead of the default 15 s; watches have their own.
    #[must_use]
    pub(crate) fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads an object or a list.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.json(&Call { method: Method::GET, path, accept: JSON, body: None }).await
    }

    /// Reads plain text, such as `/readyz?verbose`.
    pub(crate) async fn get_text(&self, path: &str) -> Result<String, ApiError> {
        let bytes = self.bounded(&Call { method: Method::GET, path, accept: "*/*", body: None }).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Creates an object in the collection at `path`; returns it as it was stored.
    pub(crate) async fn create(&self, path: &str, object: &impl Serialize) -> Result<Value, ApiError> {
        self.write(Method::POST, path, JSON, object).await
    }

    /// Changes the object at `path` by a JSON merge patch; returns it as it is now.
    pub(crate) async fn merge_patch(&self, path: &str, patch: &impl Serialize) -> Result<Value, ApiError> {
        self.write(Method::PATCH, path, MERGE_PATCH, patch).await
    }

    /// Deletes the object at `path`.
    pub(crate) async fn delete(&self, path: &str) -> Result<(), ApiError> {
        self.bounded(&Call { method: Method::DELETE, path, accept: JSON, body: None }).await.map(drop)
    }

    /// Applies `yaml` to the object at `path` (server-side apply), as the field manager `manager`, which takes over
    /// fields of other managers; returns it as it is now.
    pub(crate) async fn apply(&self, path: &str, manager: &str, yaml: &str) -> Result<Value, ApiError> {
        let path = &with_query(path, &format!("fieldManager={manager}&force=true"));
        let body = Some((APPLY_PATCH, Bytes::copy_from_slice(yaml.as_bytes())));
        self.json(&Call { method: Method::PATCH, path, accept: JSON, body }).await
    }

    /// Watches what `path` with its query (`watch=1&…`) selects. The watch fails when nothing arrives for
    /// `idle`, bookmarks included (`allowWatchBookmarks=true`: about one a minute).
    pub(crate) async fn watch<T: DeserializeOwned>(&self, path: &str, idle: Duration) -> Result<Watch<T>, ApiError> {
        let call = Call { method: Method::GET, path, accept: JSON, body: None };
        let target = self.endpoint.target();
        let opening = async {
            let request = self.request(&call)?;
            let mut connection = self.endpoint.connect().await?;
            let response = match connection.send(request).await {
                Ok(response) => response,
                Err(failed) => return Err(ApiError::transport(&call.name(), &target, failed.error)),
            };
            if response.status().is_success() {
                Ok(Watch::new(call.name(), target.clone(), response.into_body(), connection, idle))
            } else {
                let code = response.status();
                let body = self.body(&call, response).await?;
                Err(ApiError::status(&call.name(), code, &body))
            }
        };
        match timeout(self.timeout, opening).await {
            Ok(opened) => opened,
            Err(_) => Err(ApiError::Timeout { request: call.name(), waited: self.timeout }),
        }
    }

    async fn write(
        &self,
        method: Method,
        path: &str,
        kind: &'static str,
        object: &impl Serialize,
    ) -> Result<Value, ApiError> {
        let body = serde_json::to_vec(object)
            .map_err(|source| ApiError::Encode { request: format!("{method} {path}"), source })?;
        self.json(&Call { method, path, accept: JSON, body: Some((kind, body.into())) }).await
    }

    async fn json<T: DeserializeOwned>(&self, call: &Call<'_>) -> Result<T, ApiError> {
        let bytes = self.bounded(call).await?;
        serde_json::from_slice(&bytes).map_err(|source| ApiError::Decode { request: call.name(), source })
    }

    async fn bounded(&self, call: &Call<'_>) -> Result<Bytes, ApiError> {
        match timeout(self.timeout, self.exchange(call)).await {
            Ok(result) => result,
            Err(_) => Err(ApiError::Timeout { request: call.name(), waited: self.timeout }),
        }
    }

    /// One request and its answer, over a connection that is kept if there is one.
    async fn exchange(&self, call: &Call<'_>) -> Result<Bytes, ApiError> {
        if let Some(mut connection) = self.take_idle() {
            match connection.send(self.request(call)?).await {
                Ok(response) => return self.finish(call, connection, response).await,
                // The server closed it while it was idle. The other idle ones are as old, so the next is a new one.
                Err(failed) if failed.untouched || call.is_repeatable() => {
                    tracing::trace!(request = %call.name(), error = %failed.error, "api: connecting again");
                    self.lock_idle().clear();
                }
                Err(failed) => return Err(ApiError::transport(&call.name(), &self.endpoint.target(), failed.error)),
            }
        }
        let request = self.request(call)?;
        let mut connection = self.endpoint.connect().await?;
        match connection.send(request).await {
            Ok(response) => self.finish(call, connection, response).await,
            Err(failed) => Err(ApiError::transport(&call.name(), &self.endpoint.target(), failed.error)),
        }
    }

    async fn finish(
        &self,
        call: &Call<'_>,
        connection: Connection,
        response: Response<Incoming>,
    ) -> Result<Bytes, ApiError> {
        let code = response.status();
        let body = self.body(call, response).await?;
        if !connection.is_closed() {
            let mut idle = self.lock_idle();
            if idle.len() < MOST_IDLE {
                idle.push(connection);
            }
        }
        if code.is_success() { Ok(body) } else { Err(ApiError::status(&call.name(), code, &body)) }
    }

    async fn body(&self, call: &Call<'_>, response: Response<Incoming>) -> Result<Bytes, ApiError> {
        match Limited::new(response.into_body(), MOST_BYTES).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(ApiError::transport(&call.name(), &self.endpoint.target(), *error)),
                Err(other) => {
                    debug_assert!(other.is::<LengthLimitError>(), "`Limited` has no third kind of error");
                    Err(ApiError::TooLarge { request: call.name(), limit: MOST_BYTES })
                }
            },
        }
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Full<Bytes>>, ApiError> {
        let invalid = || ApiError::Path { path: call.path.to_owned() };
        if !call.path.starts_with('/') {
            return Err(invalid());
        }
        let mut builder = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(header::HOST, self.endpoint.authority())
            .header(header::USER_AGENT, HeaderValue::from_static(concat!("kubake-init/", env!("CARGO_PKG_VERSION"))))
            .header(header::ACCEPT, HeaderValue::from_static(call.accept));
        let mut body = Full::default();
        if let Some((kind, bytes)) = &call.body {
            builder = builder.header(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            body = Full::new(bytes.clone());
        }
        // The path is the only part that comes from the caller.
        builder.body(body).map_err(|_| invalid())
    }

    fn take_idle(&self) -> Option<Connection> {
        let mut idle = self.lock_idle();
        idle.retain(|connection| !connection.is_closed());
        idle.pop()
    }

    fn lock_idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn with_query(path: &str, query: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}{query}")
}

#[cfg(test)]
mod tests;
