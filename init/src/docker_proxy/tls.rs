//! TLS of the Docker port: accepts only callers with a client certificate of this container's own Docker CA. Reads the
//! files and configures the handshake. Never listens, never connects, never issues a certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto::ring};

/// The CA whose clients are accepted, in [`kubake_contract::paths::DOCKER_PKI`].
const CA: &str = "ca.pem";
/// The server's own certificate.
const CERTIFICATE: &str = "server-cert.pem";
/// Its private key.
const KEY: &str = "server-key.pem";

/// Why the port with TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file is missing or cannot be read, while others exist.
    #[error("docker proxy cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file contains no valid PEM of its kind.
    #[error("docker proxy cannot use {}", path.display())]
    Pem {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    /// A CA's certificate is invalid.
    #[error("docker proxy cannot use {} as the CA of its clients", path.display())]
    Root {
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
    /// The verifier refuses the CA.
    #[error("docker proxy cannot check clients against {}", path.display())]
    Verifier {
        path: PathBuf,
        #[source]
        source: VerifierBuilderError,
    },
    /// Certificate and key do not match.
    #[error("docker proxy cannot use {} with its key", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        #[source]
        source: rustls::Error,
    },
}

/// An acceptor with the files of `directory`; none where there are no such files.
///
/// # Errors
/// When there are files that cannot be used.
pub(crate) fn acceptor_at(directory: &Path) -> Result<Option<TlsAcceptor>, TlsError> {
    let paths = [CA, CERTIFICATE, KEY].map(|name| directory.join(name));
    if !paths.iter().any(|path| path.exists()) {
        return Ok(None);
    }
    let [ca, certificate, key] = paths;
    let mut roots = RootCertStore::empty();
    for root in certificates(&ca)? {
        roots.add(root).map_err(|source| TlsError::Root { path: ca.clone(), source })?;
    }
    let provider = Arc::new(ring::default_provider());
    // The handshake fails without a certificate and with one of another CA.
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|source| TlsError::Verifier { path: ca.clone(), source })?;
    let private = PrivateKeyDer::from_pem_slice(&read(&key)?);
    let private = private.map_err(|source| TlsError::Pem { path: key.clone(), source })?;
    let chain = certificates(&certificate)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map(|builder| builder.with_client_cert_verifier(verifier))
        .and_then(|builder| builder.with_single_cert(chain, private))
        .map_err(|source| TlsError::Certificate { path: certificate, source })?;
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Pem { path: path.to_owned(), source };
    let found = CertificateDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // For a file without a certificate the iterator is empty.
    if found.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
