//! Who is let in on the port with TLS: only callers with a client certificate of this container's own Docker CA. Owns the
//! reading of the files and the rules of the handshake. Never listens, never connects, never makes a certificate.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto::ring};

/// The CA whose clients are let in, in [`kubake_contract::paths::DOCKER_PKI`].
const CA: &str = "ca.pem";
/// What we show to callers.
const CERTIFICATE: &str = "server-cert.pem";
/// Its private key.
const KEY: &str = "server-key.pem";

/// Why there can be no port with TLS although there should be one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file is not there or cannot be read, while others are.
    #[error("docker proxy cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else than it should.
    #[error("docker proxy cannot use {}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: pem::Error,
    },
    /// A CA is none.
    #[error("docker proxy cannot use {} as the CA of its clients", path.display())]
    Root {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// A CA cannot be checked against.
    #[error("docker proxy cannot check clients against {}", path.display())]
    Verifier {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
    /// Certificate and key do not go together.
    #[error("docker proxy cannot use {} with its key", path.display())]
    Certificate {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

/// What accepts TLS with the files of `directory`; none where there are no such files.
///
/// # Errors
/// When there are some, and they cannot be used.
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
    // Whoever shows no certificate, or one of another CA, does not finish the handshake.
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
    // The iterator takes a file without any for an empty list.
    if found.is_empty() { Err(failed(pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}
