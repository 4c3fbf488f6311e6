//! The way of one connection to dockerd: the handshake, then bytes in both directions, or an answer that dockerd is not
//! up. Never listens.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// Bytes under way in each direction: build contexts and image archives are what is large here.
const BUFFER: usize = 64 * 1024;
/// What a caller may take to show its certificate. Until then it has a place that others may want.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// dockerd accepts at once or is in trouble.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may take to read why it is turned away.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of what such a caller still sends is taken from it.
const FAREWELL_BYTES: usize = 1 << 20;
/// A caller that is silent for this long is asked whether it is still there, as attached sessions have no timeout.
const KEEPALIVE_SECONDS: u32 = 60;

/// So that a proxy can be printed: what is in there has a private key.
#[derive(Clone)]
pub(super) struct Acceptor(pub(super) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// The way to dockerd, whichever port a caller comes by.
pub(super) struct Door {
    socket: PathBuf,
    pub(super) places: Arc<Semaphore>,
    /// So that a boot without Docker yet logs one line and not one for each poll of a CI system.
    was_open: AtomicBool,
}

impl Door {
    pub(super) fn new(socket: PathBuf, most_connections: usize) -> Self {
        Self { socket, places: Arc::new(Semaphore::new(most_connections)), was_open: AtomicBool::new(true) }
    }

    pub(super) async fn admit(&self, stream: TcpStream, acceptor: Option<Acceptor>) -> io::Result<()> {
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
