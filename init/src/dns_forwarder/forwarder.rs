//! The sockets on which the forwarder listens, the queries that arrive there, and the limits on their number and time.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message;
use super::upstream::{Transport, Upstreams, read_framed, write_framed};
use crate::admission::{Admission, Limits};

/// Queries over UDP at a time; further ones get SERVFAIL at once, after which clients retry. Most come from CoreDNS.
const MOST_QUERIES: Limits = Limits { all: 512, each: 384 };
/// Connections at a time; further ones are closed at once.
const MOST_CONNECTIONS: Limits = Limits { all: 64, each: 48 };
/// How long a connection may be silent, and how long one write may take.
const IDLE: Duration = Duration::from_secs(10);

/// Why the forwarder cannot serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForwarderError {
    /// The address belongs to another host, or another program listens on it.
    #[error("dns forwarder cannot listen on {protocol} {address}")]
    Bind {
        /// `udp` or `tcp`.
        protocol: &'static str,
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
}

/// A forwarder that listens and does not serve yet.
#[derive(Debug)]
pub(crate) struct Forwarder {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    upstreams: Arc<Upstreams>,
}

impl Forwarder {
    /// Listens on `address` over UDP and TCP, for the names in `hosts` and the servers named in `resolv_conf`.
    pub(crate) async fn bind(
        address: SocketAddr,
        resolv_conf: PathBuf,
        hosts: PathBuf,
    ) -> Result<Self, ForwarderError> {
        let failed = |protocol| move |source| ForwarderError::Bind { protocol, address, source };
        let tcp = TcpListener::bind(address).await.map_err(failed("tcp"))?;
        // With port 0, both have to be the one the kernel chose.
        let bound = tcp.local_addr().map_err(failed("tcp"))?;
        let udp = UdpSocket::bind(bound).await.map_err(failed("udp"))?;
        Ok(Self { udp: Arc::new(udp), tcp, upstreams: Arc::new(Upstreams::new(resolv_conf, hosts, address.ip())) })
    }

    /// Forwards until `shutdown`; queries in progress are dropped then: their clients ask again.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut tasks = JoinSet::new();
        let queries = Admission::new("dns", "queries", MOST_QUERIES);
        let connections = Admission::new("dns", "connections", MOST_CONNECTIONS);
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            tokio::select! {
                received = self.udp.recv_from(&mut buffer) => match received {
                    Ok((length, client)) => self.forward(&buffer[..length], client, &queries, &mut tasks),
                    // The kernel may report the failure of an earlier answer here; the next query is not affected.
                    Err(error) => tracing::debug!(%error, "dns: a query could not be received"),
                },
                (stream, client, place) = connections.accept(&self.tcp) => {
                    let upstreams = Arc::clone(&self.upstreams);
                    tasks.spawn(async move {
                        if let Err(error) = converse(stream, &upstreams).await {
                            tracing::debug!(%client, %error, "dns: a connection broke");
                        }
                        drop(place);
                    });
                }
                Some(_) = tasks.join_next() => {}
                () = &mut shutdown => break,
            }
        }
        tasks.shutdown().await;
    }

    /// Starts the exchange for one datagram.
    fn forward(&self, query: &[u8], client: SocketAddr, queries: &Arc<Admission>, tasks: &mut JoinSet<()>) {
        if !message::is_query(query) {
            return;
        }
        let Some(place) = queries.admit(client.ip()) else {
            // `send_to` would wait for a full send buffer, and every query with it.
            if let Some(failure) = message::servfail(query) {
                if let Err(error) = self.udp.try_send_to(&failure, client) {
                    tracing::debug!(%client, %error, "dns: a failure could not be sent");
                }
            }
            return;
        };
        let (query, udp, upstreams) = (query.to_vec(), Arc::clone(&self.udp), Arc::clone(&self.upstreams));
        tasks.spawn(async move {
            if let Some(response) = upstreams.exchange(&query, Transport::Udp).await {
                if let Err(error) = udp.send_to(&response, client).await {
                    tracing::debug!(%client, %error, "dns: an answer could not be sent");
                }
            }
            drop(place);
        });
    }
}

/// Answers the queries of one connection, one after the other.
async fn converse(mut stream: TcpStream, upstreams: &Upstreams) -> io::Result<()> {
    loop {
        // A client that keeps a connection for later is silent: the normal end.
        let query = match timeout(IDLE, read_framed(&mut stream)).await {
            Err(_) => return Ok(()),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Ok(query) => query?,
        };
        if !message::is_query(&query) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a query"));
        }
        let Some(response) = upstreams.exchange(&query, Transport::Tcp).await else { return Ok(()) };
        timeout(IDLE, write_framed(&mut stream, &response)).await??;
    }
}

#[cfg(test)]
mod tests;
