//! The way of one connection to dockerd: the handshake or a look at the first request, then bytes in both directions, or an
//! answer that dockerd is not up. Never listens.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::head::Judged;
use crate::own_hosts::OwnHosts;

/// Size of the buffer for each direction; build contexts and image archives are large.
const BUFFER: usize = 64 * 1024;
/// Limit on the TLS handshake, during which a caller occupies one of the connections.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on a connection to dockerd, which accepts at once when it works.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Limit on the refusal of a caller, from its request to the close.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes that are read from such a caller before the close.
const FAREWELL_BYTES: usize = 1 << 20;
/// Idle time before TCP keepalive probes the caller: attached sessions have no timeout.
const KEEPALIVE_SECONDS: u32 = 60;

/// Hides the private key in it from `Debug` output.
#[derive(Clone)]
pub(super) struct Acceptor(pub(super) TlsAcceptor);

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

/// Connects callers of all ports with dockerd.
pub(super) struct Door {
    socket: PathBuf,
    /// The names under which a caller without a certificate may reach it.
    hosts: OwnHosts,
    /// Limits the log to one line per change: CI systems poll while dockerd starts.
    was_open: AtomicBool,
}

impl Door {
    pub(super) fn new(socket: PathBuf, hosts: OwnHosts) -> Self {
        Self { socket, hosts, was_open: AtomicBool::new(true) }
    }

    pub(super) async fn admit(&self, stream: TcpStream, acceptor: Option<Acceptor>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        setsockopt(&stream, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS)?;
        let Some(Acceptor(acceptor)) = acceptor else { return self.judge(stream).await };
        match timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream).into_fallible()).await {
            Ok(Ok(stream)) => self.pass(stream).await,
            Ok(Err((error, mut stream))) => {
                // rustls has sent the alert with the reason; a reset would discard it.
                drop(timeout(FAREWELL_TIMEOUT, hang_up(&mut stream)).await);
                Err(error)
            }
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timed out")),
        }
    }

    /// Passes a connection on unless it begins with a request that a web page may have made.
    async fn judge(&self, stream: TcpStream) -> io::Result<()> {
        let mut client = Judged::new(stream, &self.hosts);
        match self.pass(&mut client).await {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let mut stream = client.into_inner();
                let refusal = answer("403 Forbidden", "", &error.to_string());
                let farewell = async {
                    stream.write_all(refusal.as_bytes()).await?;
                    hang_up(&mut stream).await
                };
                drop(timeout(FAREWELL_TIMEOUT, farewell).await);
                Err(error)
            }
            passed => passed,
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
                    tracing::warn!(%socket, %error, "docker proxy: dockerd is not up, callers get 503");
                }
                // One limit for all of it, so that a silent caller ends, too.
                return timeout(FAREWELL_TIMEOUT, turn_away(&mut client)).await?;
            }
        };
        if !self.was_open.swap(true, Ordering::Relaxed) {
            tracing::info!("docker proxy: dockerd accepts connections");
        }
        // The end of one direction is passed on alone, with TLS too: a client's `close_notify` closes dockerd's reading
        // half, and dockerd's end is sent as `close_notify`. A connection that is cut off is an error.
        copy_bidirectional_with_sizes(&mut client, &mut dockerd, BUFFER, BUFFER).await?;
        Ok(())
    }
}

/// Answers that dockerd is not up.
pub(crate) async fn turn_away(client: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    // For some clients an answer before the request is a protocol error.
    if client.read(&mut [0; 4096]).await? == 0 {
        return Ok(());
    }
    let why = "dockerd is not up yet; /docker-ready on port 10080 answers 200 when it is";
    client.write_all(answer("503 Service Unavailable", "retry-after: 1\r\n", why).as_bytes()).await?;
    hang_up(client).await
}

/// An answer in the form of the Docker API, so that `docker` prints the message and not "EOF".
fn answer(status: &str, headers: &str, message: &str) -> String {
    let body = serde_json::json!({ "message": message }).to_string() + "\n";
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n\
         {body}",
        body.len()
    )
}

/// Closes the sending half and reads what the caller still sends: bytes that are unread at the close make the kernel
/// reset the connection, and the caller loses the answer.
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
