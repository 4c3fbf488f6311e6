//! The Docker API on TCP: passes connections on to dockerd's unix socket, byte for byte, in both directions and each
//! direction to its own end (`docker attach` closes one half long before the other). Owns the connections and their
//! number. It never looks into them, starts nothing and knows no Docker API beyond `/_ping`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at a time; a build with many steps and a few `docker exec` need a dozen.
const MOST_CONNECTIONS: usize = 256;
/// Bytes under way in each direction: build contexts and image archives are what is large here.
const BUFFER: usize = 64 * 1024;
/// dockerd accepts at once or is in trouble.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller may take to read why nobody is there.
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(2);
/// A caller that is silent for this long is asked whether it is still there, as attached sessions have no timeout.
const KEEPALIVE_SECONDS: u32 = 60;

/// Why dockerd does not answer.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// The port is taken, or not ours to take.
    #[error("docker proxy cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its socket is not there or not served.
    #[error("docker socket {socket} does not accept connections")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The connection broke or spoke something else than HTTP.
    #[error("docker socket {socket} does not speak http")]
    Http {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: hyper::Error,
    },
    /// The answer to the ping is not what it should be.
    #[error("docker answered the ping on {socket} with {status}")]
    Status {
        /// The socket.
        socket: PathBuf,
        /// The status.
        status: StatusCode,
    },
    /// The answer to the ping did not end.
    #[error("docker's answer to the ping on {socket} cannot be read")]
    Body {
        /// The socket.
        socket: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Nothing came in time.
    #[error("docker did not answer the ping on {socket} within {waited:?}")]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// How long.
        waited: Duration,
    },
}

/// A proxy that listens and does not serve yet.
#[derive(Debug)]
pub struct Proxy {
    listener: TcpListener,
    socket: PathBuf,
}

impl Proxy {
    /// Listens on `address` for connections to `socket`, which need not exist yet.
    pub async fn bind(address: SocketAddr, socket: PathBuf) -> Result<Self, DockerError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener, socket }),
            Err(source) => Err(DockerError::Bind { address, source }),
        }
    }

    /// Passes connections on until `shutdown`, which ends all of them.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let door = Arc::new(Door { socket: self.socket, was_open: AtomicBool::new(true) });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => {
                            let door = Arc::clone(&door);
                            connections.spawn(async move {
                                if let Err(error) = door.pass(stream).await {
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
                () = &mut shutdown => break,
            }
        }
        drop(self.listener);
        connections.shutdown().await;
    }
}

/// Asks dockerd on `socket` whether it serves.
pub async fn ping(socket: &Path, within: Duration) -> Result<(), DockerError> {
    match timeout(within, ping_forever(socket)).await {
        Ok(result) => result,
        Err(_) => Err(DockerError::Timeout { socket: socket.to_owned(), waited: within }),
    }
}

async fn ping_forever(socket: &Path) -> Result<(), DockerError> {
    let path = || socket.to_owned();
    let http = |source| DockerError::Http { socket: path(), source };
    let stream = UnixStream::connect(socket).await.map_err(|source| DockerError::Connect { socket: path(), source })?;
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_headers(64)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(http)?;
    // The error of a request alone never says why the connection ended, but it does say that it did.
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { drop(connection.await) });
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = hyper::Uri::from_static("/_ping");
    request.headers_mut().insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("docker"));
    let response = sender.send_request(request).await.map_err(http)?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(DockerError::Status { socket: path(), status });
    }
    let body = Limited::new(response.into_body(), 1024).collect().await;
    body.map_err(|source| DockerError::Body { socket: path(), source })?;
    Ok(())
}

/// The way to dockerd.
struct Door {
    socket: PathBuf,
    /// So that a boot without Docker yet logs one line and not one for each poll of a CI system.
    was_open: AtomicBool,
}

impl Door {
    async fn pass(&self, mut client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        setsockopt(&client, sockopt::KeepAlive, &true)?;
        setsockopt(&client, sockopt::TcpKeepIdle, &KEEPALIVE_SECONDS)?;
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
        copy_bidirectional_with_sizes(&mut client, &mut dockerd, BUFFER, BUFFER).await?;
        Ok(())
    }
}

/// Answers in Docker's own form, so that `docker` prints the sentence and not "EOF".
async fn turn_away(client: &mut TcpStream) -> io::Result<()> {
    const BODY: &str = "{\"message\":\"dockerd is not up yet; /docker-ready on port 10080 says when it is\"}\n";
    // An answer before the question is a protocol error for some clients; and what is left unread when we close
    // makes the kernel reset the connection, answer and all.
    let mut buffer = [0; 4096];
    let mut seen = client.read(&mut buffer).await?;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    while seen < 1 << 20 {
        match client.read(&mut buffer).await? {
            0 => break,
            length => seen += length,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::UnixListener;
    use tokio::sync::oneshot;

    use super::*;

    async fn start() -> (TempDir, PathBuf, SocketAddr, oneshot::Sender<()>) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let proxy = Proxy::bind(([127, 0, 0, 1], 0).into(), socket.clone()).await.unwrap();
        let address = proxy.listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(proxy.run(async move {
            let _ = stopped.await;
        }));
        (directory, socket, address, stop)
    }

    #[tokio::test]
    async fn each_half_closes_on_its_own() {
        let (_directory, socket, address, _stop) = start().await;
        let dockerd = UnixListener::bind(&socket).unwrap();
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let mut input = Vec::new();
            // Ends only because the client's end of input comes through.
            stream.read_to_end(&mut input).await.unwrap();
            stream.write_all(b"got ").await.unwrap();
            stream.write_all(&input).await.unwrap();
        };
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"input").await.unwrap();
            stream.shutdown().await.unwrap();
            let mut output = String::new();
            stream.read_to_string(&mut output).await.unwrap();
            output
        };
        assert_eq!(tokio::join!(server, client).1, "got input");
    }

    #[tokio::test]
    async fn large_streams_arrive_whole() {
        let (_directory, socket, address, _stop) = start().await;
        let dockerd = UnixListener::bind(&socket).unwrap();
        let server = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap();
            write.shutdown().await.unwrap();
        };
        let sent: Vec<u8> = (0..4_000_000_u32).map(|number| number.to_le_bytes()[1]).collect();
        let client = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let (mut read, mut write) = stream.split();
            let mut received = Vec::new();
            let writing = async {
                write.write_all(&sent).await.unwrap();
                write.shutdown().await.unwrap();
            };
            let ((), reading) = tokio::join!(writing, read.read_to_end(&mut received));
            reading.unwrap();
            received
        };
        assert!(tokio::join!(server, client).1 == sent);
    }

    #[tokio::test]
    async fn callers_hear_that_dockerd_is_not_up() {
        let (_directory, _socket, address, stop) = start().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /_ping HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"message\":\"dockerd is not up"), "{answer}");
        // Both a silent caller and a stop are over soon.
        let mut silent = TcpStream::connect(address).await.unwrap();
        stop.send(()).unwrap();
        let _ = timeout(Duration::from_secs(1), silent.read(&mut [0; 8])).await.unwrap();
    }

    #[tokio::test]
    async fn the_connection_limit_frees_itself() {
        let (_directory, socket, address, _stop) = start().await;
        let dockerd = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            loop {
                let (mut stream, _) = dockerd.accept().await.unwrap();
                let _ = stream.write_all(b"!").await;
                held.push(stream);
            }
        });
        let knock = || async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut byte = [0];
            let length = stream.read(&mut byte).await.unwrap_or(0);
            (stream, length)
        };
        let mut held = Vec::new();
        for _ in 0..MOST_CONNECTIONS {
            let (stream, length) = knock().await;
            assert_eq!(length, 1);
            held.push(stream);
        }
        assert_eq!(knock().await.1, 0);
    }

    #[tokio::test]
    async fn a_ping_says_what_is_wrong() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let soon = Duration::from_secs(5);
        assert!(matches!(ping(&socket, soon).await, Err(DockerError::Connect { .. })));
        let dockerd = UnixListener::bind(&socket).unwrap();
        assert!(matches!(ping(&socket, Duration::from_millis(50)).await, Err(DockerError::Timeout { .. })));
        dockerd.accept().await.unwrap();
        type Expected = fn(&Result<(), DockerError>) -> bool;
        let cases: [(&str, Expected); 4] = [
            ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nOK", |result| result.is_ok()),
            ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", |result| {
                matches!(result, Err(DockerError::Status { .. }))
            }),
            ("SSH-2.0-x\r\n", |result| matches!(result, Err(DockerError::Http { .. }))),
            ("", |result| matches!(result, Err(DockerError::Http { .. }))),
        ];
        for (answer, expected) in cases {
            let server = async {
                let (mut stream, _) = dockerd.accept().await.unwrap();
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).await.unwrap();
                assert!(buffer[..length].starts_with(b"GET /_ping HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let (result, ()) = tokio::join!(ping(&socket, soon), server);
            assert!(expected(&result), "{answer:?}: {result:?}");
        }
        let endless = async {
            let (mut stream, _) = dockerd.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(9999)).as_bytes()).await;
        };
        let (result, ()) = tokio::join!(ping(&socket, soon), endless);
        assert!(matches!(result, Err(DockerError::Body { .. })), "{result:?}");
    }
}
