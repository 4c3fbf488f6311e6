//! The ports on which the proxy listens, and the number of connections to all of them together.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::door::{Acceptor, Door};
use crate::admission::{Admission, Limits};
use crate::listen;
use crate::own_hosts::OwnHosts;

/// Connections at a time, of all ports together; a large build with a few `docker exec` needs a dozen. All callers outside
/// may have one address, that of the engine's gateway.
const MOST_CONNECTIONS: Limits = Limits { all: 256, each: 128 };

/// The proxy cannot listen on a port.
#[derive(Debug, thiserror::Error)]
#[error("docker proxy cannot listen on {address}")]
pub(crate) struct BindError {
    pub address: SocketAddr,
    #[source]
    pub source: io::Error,
}

/// A proxy that listens and does not serve yet.
#[derive(Debug)]
pub(crate) struct Proxy {
    socket: PathBuf,
    hosts: OwnHosts,
    entrances: Vec<Entrance>,
}

impl Proxy {
    /// A proxy for connections to `socket`, which need not exist yet, without a port. Callers without a certificate reach it
    /// under the names in `hosts`.
    #[must_use]
    pub(crate) fn new(socket: PathBuf, hosts: OwnHosts) -> Self {
        Self { socket, hosts, entrances: Vec::new() }
    }

    /// Listens on `address` for any caller; on an unspecified one over IPv6, too.
    ///
    /// # Errors
    /// When the port is in use or not permitted.
    pub(crate) async fn listen(&mut self, address: SocketAddr) -> Result<(), BindError> {
        self.enter(address, None).await
    }

    /// Listens on `address` for callers that `acceptor` accepts.
    ///
    /// # Errors
    /// As [`Proxy::listen`].
    pub(crate) async fn listen_with_tls(
        &mut self,
        address: SocketAddr,
        acceptor: TlsAcceptor,
    ) -> Result<(), BindError> {
        self.enter(address, Some(acceptor)).await
    }

    async fn enter(&mut self, address: SocketAddr, acceptor: Option<TlsAcceptor>) -> Result<(), BindError> {
        let bound = if address.ip().is_unspecified() {
            listen::everywhere(address.port()).and_then(TcpListener::from_std)
        } else {
            TcpListener::bind(address).await
        };
        let listener = bound.map_err(|source| BindError { address, source })?;
        self.entrances.push(Entrance { listener, acceptor: acceptor.map(Acceptor) });
        Ok(())
    }

    /// Passes connections on until `shutdown`, which ends all of them.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let door = Arc::new(Door::new(self.socket, self.hosts));
        let admission = Admission::new("docker proxy", "connections", MOST_CONNECTIONS);
        // Each task owns its connections, which end with it.
        let mut entrances: JoinSet<()> = self
            .entrances
            .into_iter()
            .map(|entrance| entrance.serve(Arc::clone(&door), Arc::clone(&admission)))
            .collect();
        shutdown.await;
        entrances.shutdown().await;
    }
}

#[derive(Debug)]
struct Entrance {
    listener: TcpListener,
    /// None on the plain port.
    acceptor: Option<Acceptor>,
}

impl Entrance {
    /// Accepts connections; ends only by being dropped.
    async fn serve(self, door: Arc<Door>, admission: Arc<Admission>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                // Before the handshake: callers that never finish one count, too.
                (stream, peer, place) = admission.accept(&self.listener) => {
                    let (door, acceptor) = (Arc::clone(&door), self.acceptor.clone());
                    connections.spawn(async move {
                        if let Err(error) = door.admit(stream, acceptor).await {
                            tracing::debug!(%peer, %error, "docker proxy: a connection broke");
                        }
                        drop(place);
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
