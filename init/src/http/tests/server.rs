//! The whole server over a socket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kubake_contract::status::{Readiness, State};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::fixture::site;
use crate::http::serve;
use crate::http::server::{HEAD_TIMEOUT, MOST_CONNECTIONS};
use crate::status::Board;

struct Running {
    _directory: TempDir,
    address: SocketAddr,
    /// Of the second listener.
    web: SocketAddr,
    board: Board,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start() -> Running {
    let (directory, site) = site();
    let board = site.board.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let web = other.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(vec![listener, other], Arc::new(site), async move {
        let _ = stopped.await;
    }));
    Running { _directory: directory, address, web, board, stop, server }
}

impl Running {
    /// Sends bytes and reads until the server closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset closes the connection, too.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }
}

#[tokio::test]
async fn over_a_socket_requests_are_answered_and_head_has_no_body() {
    let running = start().await;
    let answer = running.send(b"GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    let answer = running.send(b"HEAD /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.contains("content-length: 3\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    let answer = running.send(b"GET /static-ip HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("172.30.99.1\n"), "{answer}");
    let answer = running.send(b"GET /logs/../x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let answer = running.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999\r\n\r\nabc").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
    // Bytes after a body are not parsed as a request.
    let answer =
        running.send(b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /healthz HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("connection: close\r\n") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
    let answer = running.send(b"\x16\x03\x01\x02\x00\x01\x00 nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{answer}");
}

#[tokio::test]
async fn each_listener_serves_the_same() {
    let running = start().await;
    let other = Running { address: running.web, ..running };
    assert!(other.send(b"GET /healthz HTTP/1.0\r\n\r\n").await.ends_with("ok\n"));
}

#[tokio::test]
async fn heads_are_bounded() {
    let running = start().await;
    let huge = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let answer = running.send(huge.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431") || answer.is_empty(), "{answer}");
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    let answer = running.send(many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(running.send(b"GET /healthz HTTP/1.0\r\n\r\n").await.ends_with("ok\n"));
}

#[tokio::test]
async fn a_long_poll_wakes_on_the_change() {
    let running = start().await;
    let wait = running.send(b"GET /kubernetes-ready?wait=10m HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let change = async {
        // Unrelated changes do not end the wait.
        for step in 0..3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            running.board.set_kubernetes(Readiness::missing(format!("step {step}")));
        }
        running.board.set_kubernetes(Readiness::from_missing(Vec::new()));
        Instant::now()
    };
    let (answer, changed) = tokio::join!(wait, change);
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ready\n"), "{answer}");
    assert!(changed.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn slow_and_idle_clients_are_cut_off() {
    let running = start().await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: ").await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let silent = TcpStream::connect(running.address).await.unwrap();
    let mut buffer = [0; 1024];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    // The clock stands still from here on and jumps to the next timer whenever nothing else happens.
    tokio::time::pause();
    for mut stream in [slow, idle, silent] {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(HEAD_TIMEOUT * 3, stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok());
    }
}

#[tokio::test]
async fn the_connection_limit_frees_itself() {
    let running = start().await;
    let mut held = Vec::new();
    for _ in 0..MOST_CONNECTIONS.each {
        held.push(TcpStream::connect(running.address).await.unwrap());
    }
    assert_eq!(running.send(b"GET /healthz HTTP/1.0\r\n\r\n").await, "");
    held.clear();
    let deadline = Instant::now() + Duration::from_secs(5);
    while running.send(b"GET /healthz HTTP/1.0\r\n\r\n").await.is_empty() {
        assert!(Instant::now() < deadline);
    }
}

#[tokio::test]
async fn a_stop_does_not_wait_for_callers() {
    let running = start().await;
    let _idle = TcpStream::connect(running.address).await.unwrap();
    let mut waiting = TcpStream::connect(running.address).await.unwrap();
    waiting.write_all(b"GET /kubernetes-ready?wait=10m HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(running.send(b"GET /healthz HTTP/1.0\r\n\r\n").await.ends_with("ok\n"));
    // The supervisor sets the state first; that alone ends the wait.
    running.board.set_state(State::Stopping, None);
    let begun = Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}
