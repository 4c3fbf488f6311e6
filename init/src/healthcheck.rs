//! What the image's `HEALTHCHECK` runs: asks the supervisor over its own HTTP server whether the cluster is ready, and
//! waits a while for one that boots. Blocking and without a runtime, since an engine runs it every few seconds. Judges
//! nothing itself and reads no file: what is ready is what the board says.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use kubake_contract::error_chain::chain;
use kubake_contract::{Endpoint, HEALTHCHECK_LIMIT, HEALTHCHECK_WAIT, ports};

use crate::http::BOOTING;

/// How long the supervisor may take for an answer that needs no waiting. Generous: in a boot it competes with many.
const PATIENCE: Duration = Duration::from_secs(10);
/// What is read of an answer; the rest of a long list of what is missing is left out.
const MOST_BYTES: usize = 64 << 10;

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the cluster is ready.
    pub is_ready: bool,
    /// `ready`, or what is missing; lines. `docker inspect` shows the first 4096 bytes.
    pub text: String,
}

/// What can go wrong with asking.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    #[error("no answer on {address}; kubake-init has not started or has ended, see `docker logs`")]
    Connect {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("no answer to {target} on {address}")]
    Exchange {
        address: SocketAddr,
        /// What was asked.
        target: String,
        #[source]
        source: io::Error,
    },
    /// An answer that is not HTTP, or not the one to what was asked.
    #[error("a strange answer to {target} on {address}; does something else have the port {}?", address.port())]
    Strange {
        address: SocketAddr,
        /// What was asked.
        target: String,
    },
}

/// Asks the supervisor of this container.
#[must_use]
pub fn ask() -> Verdict {
    ask_at(SocketAddr::from((Ipv4Addr::LOCALHOST, ports::HTTP)), Limits::default())
}

/// How long all may take.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Until when, from the beginning, to wait for a cluster that boots.
    wait: Duration,
    /// For an answer that needs no waiting.
    patience: Duration,
    whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { wait: HEALTHCHECK_WAIT, patience: PATIENCE, whole: HEALTHCHECK_LIMIT }
    }
}

fn ask_at(address: SocketAddr, limits: Limits) -> Verdict {
    match verdict(address, limits) {
        Ok(verdict) => verdict,
        Err(error) => Verdict { is_ready: false, text: format!("{}\n", chain(&error)) },
    }
}

fn verdict(address: SocketAddr, limits: Limits) -> Result<Verdict, HealthcheckError> {
    let begun = Instant::now();
    let path = Endpoint::KubernetesReady.path();
    let mut target = path.to_owned();
    let mut answer = exchange(address, &target, begun + limits.patience)?;
    // A cluster that is no longer booting changes its readiness seldom: the next check reports it.
    if answer.code == 503 && answer.is_booting {
        target = format!("{path}?wait={}ms", limits.wait.saturating_sub(begun.elapsed()).as_millis());
        answer = exchange(address, &target, begun + limits.whole)?;
    }
    match answer.code {
        200 => Ok(Verdict { is_ready: true, text: answer.body }),
        503 => Ok(Verdict { is_ready: false, text: answer.body }),
        _ => Err(HealthcheckError::Strange { address, target }),
    }
}

/// The parts of an answer that count.
#[derive(Debug, PartialEq, Eq)]
struct Answer {
    code: u16,
    is_booting: bool,
    body: String,
}

fn exchange(address: SocketAddr, target: &str, deadline: Instant) -> Result<Answer, HealthcheckError> {
    let failed = |source| HealthcheckError::Exchange { address, target: target.to_owned(), source };
    let left = left_until(deadline).map_err(failed)?;
    let mut stream =
        TcpStream::connect_timeout(&address, left).map_err(|source| HealthcheckError::Connect { address, source })?;
    stream.set_write_timeout(Some(left)).map_err(failed)?;
    // Version 1.0: the answer ends with the connection and comes in one piece.
    stream.write_all(format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    read_until(&mut stream, deadline, &mut bytes).map_err(failed)?;
    parse(&bytes).ok_or_else(|| HealthcheckError::Strange { address, target: target.to_owned() })
}

/// Reads to the end, of which there must be one before the deadline, or [`MOST_BYTES`].
fn read_until(stream: &mut TcpStream, deadline: Instant, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        // Anew each time: the system's timeout begins with every byte that arrives.
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => bytes.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What the system says is "resource temporarily unavailable".
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
        if bytes.len() >= MOST_BYTES {
            return Ok(());
        }
    }
}

fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next()?.split(' ');
    if !words.next()?.starts_with("HTTP/1.") {
        return None;
    }
    let code = words.next()?.parse().ok()?;
    let name = |line: &str| line.split_once(':').map(|(name, _)| name.trim().to_ascii_lowercase());
    let is_booting = lines.any(|line| name(line).as_deref() == Some(BOOTING.as_str()));
    Some(Answer { code, is_booting, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::path::PathBuf;
    use std::sync::Arc;
    use std::thread;

    use kubake_contract::status::{Readiness, State};
    use kubake_contract::{ClusterSettings, Node};

    use super::*;
    use crate::http::{Site, serve};
    use crate::status::Board;

    const SHORT: Limits = Limits {
        wait: Duration::from_millis(50),
        patience: Duration::from_millis(500),
        whole: Duration::from_millis(500),
    };

    /// The supervisor's server, as callers inside of the container see it.
    async fn supervisor() -> (SocketAddr, Board) {
        let board = Board::new();
        let site = Site {
            board: board.clone(),
            settings: ClusterSettings::default(),
            node: Node::control_plane(&ClusterSettings::default()),
            kubeconfig_path: PathBuf::new(),
            docker_client_dir: PathBuf::new(),
            logs_dir: PathBuf::new(),
            root: PathBuf::new(),
            api_port: ports::API,
            own_hosts: crate::own_hosts::OwnHosts::default(),
            token: None,
            journal: crate::http::Journal::default(),
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(vec![listener], Arc::new(site), std::future::pending()));
        (address, board)
    }

    async fn asked(address: SocketAddr, limits: Limits) -> (bool, String) {
        let verdict = tokio::task::spawn_blocking(move || ask_at(address, limits)).await.unwrap();
        (verdict.is_ready, verdict.text)
    }

    #[tokio::test]
    async fn what_the_board_says_is_said() {
        let (address, board) = supervisor().await;
        let wait_a_little = Limits { wait: SHORT.wait, ..Limits::default() };
        let begun = Instant::now();
        assert_eq!(asked(address, wait_a_little).await, (false, "the boot has only begun\n".to_owned()));
        assert!(begun.elapsed() >= SHORT.wait, "a boot is waited for");
        board.set_kubernetes(Readiness::from_missing(Vec::new()));
        assert_eq!(asked(address, Limits::default()).await, (true, "ready\n".to_owned()));
        // Not waited for: it booted long ago.
        board.set_kubernetes(Readiness::from_missing(vec!["etcd".to_owned(), "coredns".to_owned()]));
        let begun = Instant::now();
        assert_eq!(asked(address, Limits::default()).await, (false, "etcd\ncoredns\n".to_owned()));
        assert!(begun.elapsed() < HEALTHCHECK_WAIT / 2);
        board.set_state(State::Failed, Some("no route".to_owned()));
        let (is_ready, text) = asked(address, Limits::default()).await;
        assert!(!is_ready && text.starts_with("the boot failed: no route\n"), "{text}");
    }

    #[tokio::test]
    async fn a_wait_ends_in_the_moment_of_readiness() {
        let (address, board) = supervisor().await;
        let ready = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            board.set_kubernetes(Readiness::from_missing(Vec::new()));
            Instant::now()
        };
        let (answer, since) = tokio::join!(asked(address, Limits::default()), ready);
        assert_eq!(answer, (true, "ready\n".to_owned()));
        assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    }

    /// Says the same to everybody and closes, or does not.
    fn scripted(says: impl Into<Vec<u8>>, closes: bool) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let says = says.into();
        thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(&says);
                open.extend((!closes).then_some(stream));
            }
        });
        address
    }

    #[test]
    fn whoever_does_not_answer_is_not_waited_for() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let verdict = ask_at(free, SHORT);
        assert!(!verdict.is_ready && verdict.text.starts_with("no answer on 127.0.0.1:"), "{verdict:?}");
        for says in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n{"] {
            let begun = Instant::now();
            let verdict = ask_at(scripted(says, false), SHORT);
            assert!(
                !verdict.is_ready && verdict.text.contains("no answer to /kubernetes-ready on 127.0.0.1:"),
                "{verdict:?}"
            );
            assert!(verdict.text.contains("timed out") && begun.elapsed() < Duration::from_secs(5), "{verdict:?}");
        }
    }

    #[test]
    fn whoever_is_not_the_supervisor_is_not_believed() {
        for says in [&b""[..], b"ready\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n", b"\xff\r\n\r\n"] {
            let verdict = ask_at(scripted(says, true), SHORT);
            assert!(
                !verdict.is_ready && verdict.text.contains("a strange answer to /kubernetes-ready on "),
                "{verdict:?}"
            );
        }
        let endless = ask_at(scripted(vec![b'x'; MOST_BYTES + 100_000], true), Limits::default());
        assert!(!endless.is_ready && endless.text.contains("a strange answer to "), "{endless:?}");
    }

    #[tokio::test]
    async fn no_document_of_the_supervisor_is_too_long() {
        let (address, board) = supervisor().await;
        board.set_kubernetes(Readiness::from_missing(Vec::new()));
        for pod in 0..20_000 {
            board.phase_started(&format!("pod-{pod}"));
        }
        assert_eq!(asked(address, Limits::default()).await, (true, "ready\n".to_owned()));
        let missing = (0..20_000).map(|pod| format!("pod-{pod} is not ready")).collect();
        board.set_kubernetes(Readiness::from_missing(missing));
        let (is_ready, text) = asked(address, SHORT).await;
        assert!(!is_ready && text.starts_with("pod-0 is not ready\n") && text.len() <= MOST_BYTES, "{text:.200}");
    }

    #[test]
    fn answers_are_taken_apart() {
        let answer = Answer { code: 503, is_booting: false, body: "a\r\n\r\nb".to_owned() };
        assert_eq!(parse(b"HTTP/1.0 503 Service Unavailable\r\nretry-after: 1\r\n\r\na\r\n\r\nb"), Some(answer));
        let booting = parse(b"HTTP/1.0 503 x\r\nKubake-Booting: true\r\n\r\nhost").unwrap();
        assert!(booting.is_booting);
        for broken in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 x\r\n\r\n", "HTTP/2 200\r\n\r\n"] {
            assert_eq!(parse(broken.as_bytes()), None, "{broken}");
        }
    }
}
