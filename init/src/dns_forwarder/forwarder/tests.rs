//! The forwarder between a client and upstream servers on loopback addresses.

use std::net::Ipv4Addr;
use std::time::Instant;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::dns_forwarder::ask::{AskError, ask};
use crate::dns_forwarder::message::tests::response;
use crate::dns_forwarder::message::{MessageError, query_a, servfail};
use crate::dns_forwarder::upstream;

const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);

struct Running {
    directory: TempDir,
    address: SocketAddr,
    /// Upstream servers are at 127.0.0.2 and so on, with this port.
    upstream: u16,
    _stop: oneshot::Sender<()>,
}

/// A forwarder on 127.0.0.1 whose upstreams listen on `127.0.0.x`, each on the same port.
async fn start(resolv_conf: &str) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("resolv.conf");
    std::fs::write(&path, resolv_conf).unwrap();
    let hosts = directory.path().join("hosts");
    let address = (Ipv4Addr::LOCALHOST, 0).into();
    let mut forwarder = Forwarder::bind(address, path.clone(), hosts.clone()).await.unwrap();
    let address = forwarder.udp.local_addr().unwrap();
    let upstream = UdpSocket::bind("127.0.0.9:0").await.unwrap().local_addr().unwrap().port();
    let upstreams = Upstreams::new(path, hosts, address.ip()).with_port(upstream);
    forwarder.upstreams = Arc::new(upstreams);
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(forwarder.run(async move {
        let _ = stopped.await;
    }));
    Running { directory, address, upstream, _stop: stop }
}

impl Running {
    /// An upstream server that answers every query as `answer` says.
    async fn upstream(&self, ip: &str, answer: impl Fn(&[u8]) -> Vec<Vec<u8>> + Send + 'static) {
        let socket = UdpSocket::bind((ip, self.upstream)).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                for message in answer(&buffer[..length]) {
                    socket.send_to(&message, client).await.unwrap();
                }
            }
        });
    }

    async fn ask(&self) -> Result<Vec<Ipv4Addr>, AskError> {
        ask(self.address, "name.example", Duration::from_secs(8)).await
    }
}

fn refused(result: Result<Vec<Ipv4Addr>, AskError>) -> bool {
    matches!(result, Err(AskError::Answer { source: MessageError::Refused(2), .. }))
}

#[tokio::test]
async fn a_query_is_answered_by_the_upstream() {
    let running = start("nameserver 127.0.0.2").await;
    running
        .upstream("127.0.0.2", |query| {
            let mut guess = response(query, &[Ipv4Addr::UNSPECIFIED]);
            guess[1] ^= 1;
            vec![b"noise".to_vec(), guess, response(query, &[ADDRESS])]
        })
        .await;
    assert_eq!(running.ask().await.unwrap(), [ADDRESS]);
}

#[tokio::test]
async fn without_an_upstream_failure_comes_at_once() {
    // The forwarder itself is not an upstream.
    let running = start("nameserver 127.0.0.1\nsearch a").await;
    let begun = Instant::now();
    assert!(refused(running.ask().await));
    assert!(begun.elapsed() < Duration::from_millis(400));
    // A server that is added is used.
    running.upstream("127.0.0.2", |query| vec![response(query, &[ADDRESS])]).await;
    std::fs::write(running.directory.path().join("resolv.conf"), "nameserver 127.0.0.2").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(running.ask().await.unwrap(), [ADDRESS]);
    // A file that is gone for a moment changes nothing.
    std::fs::remove_file(running.directory.path().join("resolv.conf")).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(running.ask().await.unwrap(), [ADDRESS]);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails() {
    // A closed port, a server that refuses, a server that answers.
    let running = start("nameserver 127.0.0.2\nnameserver 127.0.0.3\nnameserver 127.0.0.4").await;
    running.upstream("127.0.0.3", |query| vec![servfail(query).unwrap()]).await;
    assert!(refused(running.ask().await));
    running.upstream("127.0.0.4", |query| vec![response(query, &[ADDRESS])]).await;
    let begun = Instant::now();
    assert_eq!(running.ask().await.unwrap(), [ADDRESS]);
    assert!(begun.elapsed() < Duration::from_millis(400));
}

#[tokio::test]
async fn a_silent_server_costs_only_its_share() {
    let running = start("nameserver 127.0.0.2\nnameserver 127.0.0.3").await;
    running.upstream("127.0.0.2", |_| Vec::new()).await;
    running.upstream("127.0.0.3", |query| vec![response(query, &[ADDRESS])]).await;
    let socket = upstream::connect(running.address).await.unwrap();
    socket.send(&query_a(1, "a.b").unwrap()).await.unwrap();
    let mut buffer = [0; 512];
    let begun = Instant::now();
    socket.recv(&mut buffer).await.unwrap();
    assert!((2..5).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn queries_over_tcp_go_over_tcp() {
    let running = start("nameserver 127.0.0.2").await;
    let upstream = TcpListener::bind(("127.0.0.2", running.upstream)).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = upstream.accept().await.unwrap();
            let query = read_framed(&mut stream).await.unwrap();
            write_framed(&mut stream, &response(&query, &[ADDRESS; 60])).await.unwrap();
        }
    });
    let mut client = TcpStream::connect(running.address).await.unwrap();
    for id in 1..4 {
        let query = query_a(id, "big.example").unwrap();
        write_framed(&mut client, &query).await.unwrap();
        let answer = read_framed(&mut client).await.unwrap();
        assert_eq!(message::addresses(&query, &answer).unwrap().len(), 60);
    }
    // Invalid input ends this connection and no other.
    write_framed(&mut client, b"nonsense").await.unwrap();
    assert!(read_framed(&mut client).await.is_err());
    let mut other = TcpStream::connect(running.address).await.unwrap();
    write_framed(&mut other, &query_a(9, "big.example").unwrap()).await.unwrap();
    assert!(read_framed(&mut other).await.is_ok());
}

#[tokio::test]
async fn responses_and_noise_are_never_answered() {
    let running = start("").await;
    let socket = upstream::connect(running.address).await.unwrap();
    let query = query_a(5, "a.b").unwrap();
    for noise in [&b""[..], b"x", &[0xff; 12], &servfail(&query).unwrap()] {
        socket.send(noise).await.unwrap();
    }
    socket.send(&query).await.unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).await.unwrap();
    assert!(message::answers(&query, &buffer[..length]));
    assert!(timeout(Duration::from_millis(50), socket.recv(&mut buffer)).await.is_err());
}

#[tokio::test]
async fn names_of_the_hosts_file_need_no_server() {
    let running = start("nameserver 127.0.0.3\n").await;
    running.upstream("127.0.0.3", |query| vec![response(query, &[Ipv4Addr::new(10, 0, 0, 9)])]).await;
    let hosts = running.directory.path().join("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost\n{ADDRESS} other NAME.example\n")).unwrap();
    assert_eq!(running.ask().await.unwrap(), [ADDRESS]);
    std::fs::write(&hosts, "127.0.0.1 localhost\n").unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(running.ask().await.unwrap(), [Ipv4Addr::new(10, 0, 0, 9)], "a removed name is asked for again");
}
