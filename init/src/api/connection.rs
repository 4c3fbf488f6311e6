//! Connections to the API server: credentials, TLS, HTTP/1.1. Owns nothing that outlives a connection, decides
//! nothing about requests.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_util::task::AbortOnDropHandle;

use super::error::ApiError;
use crate::kubeconfig::address::{Host, Server};
use crate::kubeconfig::{Cluster, Kubeconfig, User};

/// Address and handshake together. During a boot, a handshake can take 2 s.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Address, name and TLS configuration of the API server.
#[derive(Clone)]
pub(super) struct Endpoint {
    server: Server,
    server_name: ServerName<'static>,
    connector: TlsConnector,
    /// Used instead of the kubeconfig's address.
    address: Option<SocketAddr>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("server", &self.server).field("address", &self.address).finish()
    }
}

impl Endpoint {
    /// The endpoint of a kubeconfig's current context.
    pub(super) fn new(kubeconfig: &str) -> Result<Self, ApiError> {
        let config = Kubeconfig::parse(kubeconfig).map_err(ApiError::Kubeconfig)?;
        let (cluster, user) = config.current().map_err(ApiError::Kubeconfig)?;
        let server = Server::parse(&cluster.server, 443).map_err(|error| ApiError::Kubeconfig(error.into()))?;
        let server_name = match (&cluster.tls_server_name, &server.host) {
            (Some(name), _) | (None, Host::Name(name)) => {
                ServerName::try_from(name.clone()).map_err(|error| credentials("tls-server-name", error))?
            }
            (None, Host::Ip(address)) => ServerName::from(*address),
        };
        let connector = TlsConnector::from(Arc::new(tls_config(cluster, user)?));
        Ok(Self { server, server_name, connector, address: None })
    }

    /// The same, reached at `address`.
    pub(super) fn at(&self, address: SocketAddr) -> Self {
        Self { address: Some(address), ..self.clone() }
    }

    /// The host and port for the `Host` header.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", self.server.host, self.server.port)
    }

    /// The address of connections, for messages.
    pub(super) fn target(&self) -> String {
        self.address.map_or_else(|| self.authority(), |address| address.to_string())
    }

    pub(super) async fn connect(&self) -> Result<Connection, ApiError> {
        let connecting = async {
            let tcp = match (self.address, &self.server.host) {
                (Some(address), _) => TcpStream::connect(address).await?,
                (None, Host::Ip(ip)) => TcpStream::connect((*ip, self.server.port)).await?,
                (None, Host::Name(name)) => TcpStream::connect((name.as_str(), self.server.port)).await?,
            };
            tcp.set_nodelay(true)?;
            self.connector.connect(self.server_name.clone(), tcp).await
        };
        let failed = |error| ApiError::connect(&self.target(), error);
        let tls = match timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(connected) => connected.map_err(failed)?,
            Err(_) => return Err(failed(io::ErrorKind::TimedOut.into())),
        };
        let (sender, driver) = http1::handshake(TokioIo::new(tls))
            .await
            .map_err(|error| ApiError::transport("the handshake", &self.target(), error))?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            // The request that fails returns the error to its caller.
            if let Err(error) = driver.await {
                tracing::trace!(%error, "api: a connection broke");
            }
        }));
        Ok(Connection { sender, _driver: driver })
    }
}

fn tls_config(cluster: &Cluster, user: &User) -> Result<ClientConfig, ApiError> {
    const CA: &str = "certificate-authority-data";
    const CERTIFICATE: &str = "client-certificate-data";
    const KEY: &str = "client-key-data";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(CA, &cluster.certificate_authority_data)? {
        roots.add(certificate).map_err(|error| credentials(CA, error))?;
    }
    let chain = certificates(CERTIFICATE, &user.client_certificate_data)?;
    let key = STANDARD.decode(&user.client_key_data).map_err(|error| credentials(KEY, error))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| credentials(KEY, error))?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| credentials(CA, error))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|error| credentials(CERTIFICATE, error))?;
    // Without it, Go's server may choose HTTP/2.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(what: &'static str, data: &str) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let pem = STANDARD.decode(data).map_err(|error| credentials(what, error))?;
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| credentials(what, error))?;
    if certificates.is_empty() {
        return Err(credentials(what, "contains no certificate"));
    }
    Ok(certificates)
}

fn credentials(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::Credentials { what, source: source.into() }
}

/// A connection that carries one request at a time; dropping it closes it.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    _driver: AbortOnDropHandle<()>,
}

/// A request that failed on a connection.
pub(super) struct Unsent {
    pub(super) error: hyper::Error,
    /// No byte of it can have reached the server.
    pub(super) untouched: bool,
}

impl Connection {
    /// Whether the connection is known to be closed.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent> {
        self.sender.ready().await.map_err(|error| Unsent { error, untouched: true })?;
        self.sender.try_send_request(request).await.map_err(|mut failed| {
            let untouched = failed.take_message().is_some();
            Unsent { error: failed.into_error(), untouched }
        })
    }
}
