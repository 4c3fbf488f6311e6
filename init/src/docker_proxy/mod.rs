//! The Docker API on TCP: passes connections on to dockerd's unix socket, byte for byte, in both directions and each
//! direction to its own end (`docker attach` closes one half long before the other). Owns the connections, plain ones
//! and those with TLS, and their number. It never looks into them, starts nothing and knows no Docker API beyond
//! [`ping`].

mod ping;
#[cfg(test)]
mod tests;
mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

pub(crate) use ping::ping;
pub(crate) use tls::acceptor_at;

/// Connections at a time, of all ports together; a build with many steps and a few `docker exec` need a dozen.
const MOST_CONNECTIONS: usize = 256;
/// Bytes under way in each direction: build contexts and image archives are what is large here.
const BUFFER: usize = 64 * 1024;
/// What a caller may take to show its certificate. Until then it has a place that others may want.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// dockerd accepts at once or is in trouble.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may take to read why it is turned away.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of what such a caller still sends is taken from it.
const FAREWELL_BYTES: usize = 1 << 20;
/// A caller that is silent for this long is asked whether it is still there, as attached sessions have no timeout.
const KEEPALIVE_SECONDS: u32 = 60;

/// A port cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("docker proxy cannot listen on {address}")]
pub(crate) struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// A proxy that listens and does not serve yet.
#[derive(Debug)]
pub(crate) struct Proxy {
    socket: PathBuf,
    entrances: Vec<Entrance>,
}

impl Proxy {
    /// A proxy for connections to `socket`, which need not exist yet. It listens nowhere so far.
    #[must_use]
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, entrances: Vec::new() }
    }

    /// Listens on `address` for whoever comes.
    ///
    /// # Errors
    /// When the port is taken, or not ours to take.
    pub(crate) async fn listen(&mut self, address: SocketAddr) -> Result<(), BindError> {
        self.enter(address, None).await
    }

    /// Listens on `address` for those that `acceptor` lets in.
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
        let listener = TcpListener::bind(address).await.map_err(|source| BindError { address, source })?;
        self.entrances.push(Entrance { listener, acceptor: acceptor.map(Acceptor) });
        Ok(())
    }

    /// Passes connections on until `shutdown`, which ends all of them.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let door = Arc::new(Door {
            socket: self.socket,
            places: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            was_open: AtomicBool::new(true),
        });
        // Each of the tasks holds its connections, which end with it.
        let mut entrances: JoinSet<()> =
            self.entrances.into_iter().map(|entrance| entrance.serve(Arc::clone(&door))).collect();
        shutdown.await;
        entrances.shutdown().await;
    }
}

/// One port.
#[derive(Debug)]
struct Entrance {
    listener: TcpListener,
    /// None where nobody is asked for a certificate.
    acceptor: Option<Acceptor>,
}

/// So that a proxy can be printed: what is in there has a private key.
#[derive(Clone)]
struct Acceptor(TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

impl Entrance {
    /// Accepts connections; ends only by being dropped.
    async fn serve(self, door: Arc<Door>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    // Before the handshake: whoever cannot finish one must not be without limit either.
                    Ok((stream, peer)) => match Arc::clone(&door.places).try_acquire_owned() {
                        Ok(place) => {
                            let (door, acceptor) = (Arc::clone(&door), self.acceptor.clone());
                            connections.spawn(async move {
                                if let Err(error) = door.admit(stream, acceptor).await {
                                    tracing::debug!(%peer, %error, "docker proxy: a connection broke");
                                }
                                drop(place);
                            });
                        }
                        Err(_) => tracing::warn!(%peer, "docker proxy: {MOST_CONNECTIONS} connections are open"),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "docker proxy: a connection could not be accepted");
                        // Without file descriptors, `accept` stays ready and would spin.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// The way to dockerd, whichever port a caller comes by.
struct Door {
    socket: PathBuf,
    places: Arc<Semaphore>,
    /// So that a boot without Docker yet logs one line and not one for each poll of a CI system.
    was_open: AtomicBool,
}

impl Door {
    async fn admit(&self, stream: TcpStream, acceptor: Option<Acceptor>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS)?;
        let Some(Acceptor(acceptor)) = acceptor else { return self.pass(stream).await };
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => self.pass(stream).await,
            Ok(Err((error, mut stream))) => {
                // The alert that says what is wrong has been sent; it must not be lost to a reset.
                drop(timeout(FAREWELL_TIMEOUT, hang_up(&mut stream)).await);
                Err(error)
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time")),
        }
    }

    async fn pass(&self, mut client: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
        let connected = match timeout(CONNECT_TIMEOUT, UnixStream::connect(&self.socket)).await {
            Ok(connected) => connected,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let mut dockerd = match connected {
            Ok(dockerd) => dockerd,
            Err(error) => {
                if self.was_open.swap(false, Ordering::Relaxed) {
                    let socket = self.socket.display();
                    tracing::warn!(%socket, %error, "docker proxy: dockerd is not up, callers are told to come back");
                }
                // Bounded as a whole, whatever the caller does or does not send.
                return timeout(FAREWELL_TIMEOUT, turn_away(&mut client)).await?;
            }
        };
        if !self.was_open.swap(true, Ordering::Relaxed) {
            tracing::info!("docker proxy: dockerd accepts connections");
        }
        // An end of input is passed on as one, with TLS too: a client's `close_notify` closes dockerd's reading half and
        // nothing else, and dockerd's end is sent as `close_notify`. A connection that is cut off is an error instead.
        copy_bidirectional_with_sizes(&mut client, &mut dockerd, BUFFER, BUFFER).await?;
        Ok(())
    }
}

/// Answers in Docker's own form, so that `docker` prints the sentence and not "EOF".
async fn turn_away(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    const BODY: &str = "{\"message\":\"dockerd is not up yet; /docker-ready on port 10080 says when it is\"}\n";
    // An answer before the question is a protocol error for some clients.
    if client.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    client.write_all(answer.as_bytes()).await?;
    hang_up(client).await
}

/// Ends what we send and takes what still comes: what is left unread when we close makes the kernel reset the
/// connection, and the last that we said is lost.
async fn hang_up(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    client.shutdown().await?;
    let mut buffer = [0; 4096];
    let mut seen = 0;
    while seen < FAREWELL_BYTES {
        match client.read(&mut buffer).await? {
            0 => break,
            length => seen += length,
        }
    }
    Ok(())
}
