//! The servers that queries are forwarded to, and the exchange of one query. Reads the container's `resolv.conf` and its
//! `/etc/hosts`, never writes them, and keeps no connection between queries.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout};

use super::hosts::Hosts;
use super::message;
use super::resolv_conf::ResolvConf;

/// The next server is asked when one has not answered within this time.
const SERVER_TIMEOUT: Duration = Duration::from_secs(3);
/// The limit for all servers together; CoreDNS times out after 5 s.
const QUERY_TIMEOUT: Duration = Duration::from_millis(4500);
/// How old the known content of `resolv.conf` may be. Polling sees each change: Docker writes the file through a bind
/// mount, sometimes in place and sometimes by renaming.
const FRESH: Duration = Duration::from_secs(1);
const MOST_BYTES: u64 = 64 * 1024;
/// Bytes of the hosts file that are read.
const MOST_HOSTS_BYTES: u64 = 1024 * 1024;
const DNS: u16 = 53;

/// The transport of a query. The answer travels by the same one: a client that asks over TCP does so because the
/// answer does not fit into a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// The name servers of a `resolv.conf`, read again when the known content is old.
#[derive(Debug)]
pub(super) struct Upstreams {
    path: PathBuf,
    hosts: PathBuf,
    own: IpAddr,
    port: u16,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    read_at: Option<Instant>,
    servers: Vec<SocketAddr>,
    hosts: Hosts,
    /// The file's length and time of change when it was read.
    hosts_version: Option<(u64, SystemTime)>,
}

impl Upstreams {
    /// The servers named in `path`, except `own`, behind the names in `hosts`.
    pub(super) fn new(path: PathBuf, hosts: PathBuf, own: IpAddr) -> Self {
        Self { path, hosts, own, port: DNS, known: Mutex::default() }
    }

    /// Servers on another port than 53, where tests can have them.
    #[cfg(test)]
    pub(super) fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// What the files hold now.
    async fn known(&self) -> MutexGuard<'_, Known> {
        // Held while reading: of concurrent queries that find the files old, one reads them and the others wait.
        let mut known = self.known.lock().await;
        if known.read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return known;
        }
        self.read_hosts(&mut known).await;
        let text = read_bounded(&self.path, MOST_BYTES).await;
        known.read_at = Some(Instant::now());
        match text {
            Ok(text) => {
                let addresses = ResolvConf::parse(&text).upstreams(self.own);
                let servers: Vec<_> = addresses.into_iter().map(|ip| SocketAddr::new(ip, self.port)).collect();
                if servers != known.servers {
                    tracing::info!(path = %self.path.display(), ?servers, "dns: forwarding to other servers now");
                    known.servers = servers;
                }
            }
            // The file may be missing for a moment while it is replaced: the known servers stay.
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "dns: the list of servers cannot be read");
            }
        }
        known
    }

    /// Reads the hosts file again if it changed. Where there is none, the last one stays.
    async fn read_hosts(&self, known: &mut Known) {
        let Ok(metadata) = tokio::fs::metadata(&self.hosts).await else { return };
        let version = metadata.modified().ok().map(|modified| (metadata.len(), modified));
        if version.is_some() && version == known.hosts_version {
            return;
        }
        match read_bounded(&self.hosts, MOST_HOSTS_BYTES).await {
            Ok(text) => {
                known.hosts = Hosts::parse(&text);
                known.hosts_version = version;
            }
            Err(error) => tracing::debug!(path = %self.hosts.display(), %error, "dns: names cannot be read"),
        }
    }

    /// Answers names of the hosts file. Otherwise asks one server after the other and returns the first answer that is no
    /// failure, else the last failure, else a SERVFAIL.
    pub(super) async fn exchange(&self, query: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let known = self.known().await;
        if let Some(found) = message::asked_name(query).and_then(|name| known.hosts.find(&name)) {
            return message::own_answer(query, found);
        }
        let servers = known.servers.clone();
        drop(known);
        let mut failure = None;
        for server in &servers {
            let share = QUERY_TIMEOUT / u32::try_from(servers.len()).unwrap_or(1).max(1);
            let exchange = async {
                match transport {
                    Transport::Udp => udp(*server, query).await,
                    Transport::Tcp => tcp(*server, query).await,
                }
            };
            match timeout(SERVER_TIMEOUT.min(share), exchange).await {
                Ok(Ok(response)) if !message::is_failure(&response) => return Some(response),
                Ok(Ok(response)) => failure = Some(response),
                Ok(Err(error)) => tracing::debug!(%server, %error, "dns: a server could not be asked"),
                Err(_) => tracing::debug!(%server, "dns: a server did not answer"),
            }
        }
        failure.or_else(|| message::servfail(query))
    }
}

/// A socket that takes datagrams from `server` alone, on a port that the kernel chose at random.
pub(super) async fn connect(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    Ok(socket)
}

async fn udp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let socket = connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // A response to another question may be forged: the right one can still arrive.
        if message::answers(query, &buffer[..length]) {
            buffer.truncate(length);
            buffer.shrink_to_fit();
            return Ok(buffer);
        }
    }
}

async fn tcp(server: SocketAddr, query: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write_framed(&mut stream, query).await?;
    let response = read_framed(&mut stream).await?;
    if message::answers(query, &response) {
        Ok(response)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "response to another question"))
    }
}

/// Reads one message with its length before it.
pub(super) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// Writes one message with its length before it.
pub(super) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "message of more than 64 KiB"))?;
    // In one piece: some servers do not cope with a length that comes alone.
    let mut framed = Vec::with_capacity(message.len() + 2);
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

async fn read_bounded(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    tokio::fs::File::open(path).await?.take(most).read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
