//! One question to one server, for readiness: does this name resolve there, now? Owns its own sockets and keeps
//! nothing between questions.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::message::{self, MessageError};
use super::upstream;

/// A question is asked again after this time: a lost packet must not cost the whole timeout.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// More than a datagram without EDNS may have, for servers that exceed the limit.
const MOST_BYTES: usize = 4096;

/// Why a name did not resolve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// No answer arrived in time.
    #[error("no answer from {server} about {name} within {waited:?}")]
    Timeout {
        /// The server that was asked.
        server: SocketAddr,
        /// The name in the question.
        name: String,
        waited: Duration,
    },
    /// The question could not be sent, or the port is closed.
    #[error("{server} cannot be asked about {name}")]
    Io {
        /// The server that was asked.
        server: SocketAddr,
        /// The name in the question.
        name: String,
        #[source]
        source: io::Error,
    },
    /// The answer contains no address.
    #[error("{server} did not resolve {name}")]
    Answer {
        /// The server that was asked.
        server: SocketAddr,
        /// The name in the question.
        name: String,
        /// What was answered.
        #[source]
        source: MessageError,
    },
}

/// Asks `server` for the IPv4 addresses of `name` over UDP; at least one, or an error within `timeout`.
pub(crate) async fn ask(server: SocketAddr, name: &str, timeout: Duration) -> Result<Vec<Ipv4Addr>, AskError> {
    let failed = |source| AskError::Io { server, name: name.to_owned(), source };
    let answered = |source| AskError::Answer { server, name: name.to_owned(), source };
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        // Each attempt has a socket of its own. Packets that left before kube-proxy's rules existed have a
        // connection tracking entry without translation, and it would swallow all that follow from the same port.
        let query = message::query_a(random_id(), name).map_err(answered)?;
        let socket = upstream::connect(server).await.map_err(failed)?;
        socket.send(&query).await.map_err(failed)?;
        let attempt = deadline.min(Instant::now() + ASK_AGAIN);
        let mut buffer = [0; MOST_BYTES];
        while let Ok(received) = timeout_at(attempt, socket.recv(&mut buffer)).await {
            let length = received.map_err(failed)?;
            match message::addresses(&query, &buffer[..length]) {
                Err(MessageError::Stranger) => {}
                result => return result.map_err(answered),
            }
        }
    }
    Err(AskError::Timeout { server, name: name.to_owned(), waited: timeout })
}

/// The standard library seeds its hash maps from the kernel's random numbers, which is enough for an id that is hard to
/// guess from outside.
fn random_id() -> u16 {
    let [high, low, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    u16::from_be_bytes([high, low])
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::super::message::tests::response;
    use super::*;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);

    #[tokio::test]
    async fn a_lost_packet_is_sent_again_from_another_port() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let answer = async {
            let mut buffer = [0; 512];
            let (_, first) = server.recv_from(&mut buffer).await.unwrap();
            let (length, second) = server.recv_from(&mut buffer).await.unwrap();
            assert_ne!(first, second);
            let query = &buffer[..length];
            let mut stranger = response(query, &[Ipv4Addr::LOCALHOST]);
            stranger[0] ^= 0xff;
            server.send_to(&stranger, second).await.unwrap();
            server.send_to(b"?", second).await.unwrap();
            server.send_to(&response(query, &[ADDRESS]), second).await.unwrap();
        };
        let (found, ()) = tokio::join!(ask(address, "kubernetes.default", Duration::from_secs(5)), answer);
        assert_eq!(found.unwrap(), [ADDRESS]);
    }

    #[tokio::test]
    async fn a_closed_port_and_silence_differ() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let error = ask(address, "a.b", Duration::from_millis(50)).await.unwrap_err();
        assert!(matches!(error, AskError::Timeout { .. }), "{error}");
        drop(server);
        let error = ask(address, "a.b", Duration::from_secs(5)).await.unwrap_err();
        assert!(matches!(error, AskError::Io { .. }), "{error}");
    }
}
