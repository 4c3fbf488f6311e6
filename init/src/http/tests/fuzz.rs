//! The server against any input: random bytes, requests that are almost valid, in pieces of any size. Over memory and
//! with a clock that jumps, so that timeouts cost no time. For each input the answer is well-formed or the connection
//! is closed, no secret leaves without the token, and the next caller is served.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use kubake_contract::status::Readiness;
use kubake_contract::token::Token;
use kubake_contract::{ClusterSettings, Node};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio_util::sync::CancellationToken;

use crate::http::server::converse;
use crate::http::{Journal, Site};
use crate::status::Board;

/// In each guarded file, and nowhere else.
const SECRET: &str = "the secret of this test";
/// The same as in a kubeconfig.
const SECRET_BASE64: &str = "dGhlIHNlY3JldCBvZiB0aGlzIHRlc3Q=";
/// The generators never produce it.
const TOKEN: &str = "0f9a7c1e-the-token";

fn site() -> (TempDir, Arc<Site>) {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let admin = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{{name: c, cluster: {{certificate-authority-data: Q0E=, server: https://172.30.99.1:8443}}}}]\n\
         contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
         users: [{{name: u, user: {{client-certificate-data: {SECRET_BASE64}, client-key-data: {SECRET_BASE64}}}}}]\n"
    );
    std::fs::write(path("admin.conf"), admin).unwrap();
    for directory in ["logs", "docker"] {
        std::fs::create_dir(path(directory)).unwrap();
    }
    for file in ["logs/kubelet.log", "docker/ca.pem", "docker/cert.pem", "docker/key.pem"] {
        std::fs::write(path(file), format!("-----BEGIN X-----\n{SECRET}\n-----END X-----\n")).unwrap();
    }
    let board = Board::new();
    board.set_docker(Readiness::from_missing(Vec::new()));
    let site = Site {
        board,
        settings: ClusterSettings::default(),
        node: Node::control_plane(&ClusterSettings::default()),
        kubeconfig_path: path("admin.conf"),
        docker_client_dir: path("docker"),
        logs_dir: path("logs"),
        root: path("root"),
        api_port: 8443,
        own_hosts: crate::own_hosts::OwnHosts::default(),
        token: Some(Token::parse(TOKEN).unwrap()),
        journal: Journal::default(),
    };
    (directory, Arc::new(site))
}

/// Sends pieces to a connection of its own and returns everything that comes back before it is closed.
async fn exchange(site: &Arc<Site>, pieces: &[&[u8]], ends: bool) -> Vec<u8> {
    let (theirs, ours) = duplex(64 * 1024);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let (mut from, mut to) = split(theirs);
    let server = async {
        converse(ours, peer, Arc::clone(site), CancellationToken::new()).await;
    };
    let write = async {
        for piece in pieces {
            // The server may close at any time.
            if to.write_all(piece).await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
        if ends {
            let _ = to.shutdown().await;
        }
    };
    let mut answer = Vec::new();
    let read = async { from.read_to_end(&mut answer).await.map(drop) };
    let (_, (), _) = tokio::join!(server, write, read);
    answer
}

/// The status codes in what came back; none when it is not a row of whole answers.
fn statuses(mut bytes: &[u8]) -> Option<Vec<u16>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let (head, rest) = bytes.split_at(end + 4);
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next()?;
        let line = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?;
        found.push(line.get(..3)?.parse().ok()?);
        let mut length = 0;
        for header in lines {
            let (name, value) = header.split_once(": ")?;
            if name == "content-length" {
                length = value.parse().ok()?;
            }
        }
        // The answer to HEAD has a length and no body.
        bytes = if rest.is_empty() || rest.starts_with(b"HTTP/1.") { rest } else { rest.split_at_checked(length)?.1 };
    }
    Some(found)
}

/// A clock that jumps to the next timer whenever nothing else happens.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(future)
}

/// Checks what holds for every input; returns the status codes.
fn survives(site: &Arc<Site>, pieces: &[&[u8]], ends: bool) -> Result<Vec<u16>, String> {
    block_on(async {
        let answer = exchange(site, pieces, ends).await;
        let shown = String::from_utf8_lossy(&answer).into_owned();
        let codes = statuses(&answer).ok_or_else(|| format!("not a row of answers: {shown:?}"))?;
        if shown.contains(SECRET) || shown.contains(SECRET_BASE64) {
            return Err(format!("a secret was sent: {shown:?}"));
        }
        let next = exchange(site, &[b"GET /healthz HTTP/1.0\r\n\r\n"], false).await;
        if !next.ends_with(b"\r\n\r\nok\n") {
            return Err(format!("the next caller got {:?}", String::from_utf8_lossy(&next)));
        }
        Ok(codes)
    })
}

fn pieces<'a>(bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes {
        let (piece, after) = rest.split_at((*size).min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

/// Requests that are valid in most parts.
fn almost_valid() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![4 => Just("GET".to_owned()), 1 => Just("HEAD".to_owned()), 1 => "[A-Z]{1,8}|get| GET"];
    let path = prop_oneof![
        4 => prop::sample::select(vec![
            "/", "/config", "/client.crt", "/client.key", "/docker-client.tar", "/logs/", "/logs/kubelet", "/ca.crt",
            "/status", "/healthz", "/docker-ready?wait=10m", "/kubernetes-ready?wait=1ms", "*", "",
        ]).prop_map(str::to_owned),
        2 => "(/(config|logs|client\\.key|\\.|\\.\\.|%2e|%2f|%63onfig|kubelet|;|//)){1,4}",
        1 => "https?://[a-z@:0-9.]{0,12}/(config|logs/kubelet)",
        1 => "/config\\?(server|port|format)=[-a-z0-9.:%+\\[\\]]{0,20}",
        1 => "/\\PC{0,30}",
    ];
    let version =
        prop_oneof![6 => Just("HTTP/1.1".to_owned()), 1 => Just("HTTP/1.0".to_owned()), 1 => "HTTP/[0-9.]{0,3}|"];
    let header = prop_oneof![
        6 => Just("Host: a".to_owned()),
        4 => "Authorization: (Bearer|bearer) [a-z0-9-]{8,20}",
        1 => "Authorization: (Bearer|Basic|bearer)[ :]?[a-z0-9-]{0,20}",
        1 => Just("Connection: close".to_owned()),
        1 => Just("Transfer-Encoding: chunked".to_owned()),
        1 => Just("Expect: 100-continue".to_owned()),
        1 => Just("Upgrade: h2c".to_owned()),
        1 => "Content-Length: [-+0-9]{1,20}",
        2 => "(Forwarded|X-Forwarded-Host|Host): [-a-z0-9.:;=,\"\\[\\]]{0,30}",
        1 => "[A-Za-z-]{1,10}:\\PC{0,20}",
        1 => "[ \t]?\\PC{0,20}",
    ];
    let request = (
        method,
        path,
        version,
        prop::collection::vec(header, 0..6),
        prop_oneof![
            3 => Just(String::new()),
            1 => "[0-9a-fA-F;]{0,4}\r?\n\\PC{0,10}\r?\n(0\r\n\r\n)?",
            1 => "\\PC{0,20}",
        ],
    );
    let line_end = prop_oneof![6 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
    prop::collection::vec((request, line_end), 1..4).prop_map(|requests| {
        let mut bytes = Vec::new();
        for ((method, path, version, headers, body), end) in requests {
            bytes.extend(format!("{method} {path} {version}{end}").bytes());
            for header in headers {
                bytes.extend(format!("{header}{end}").bytes());
            }
            bytes.extend(format!("{end}{body}").bytes());
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn almost_valid_requests_open_nothing(
        bytes in almost_valid(),
        sizes in prop::collection::vec(0..40_usize, 0..6),
        ends in any::<bool>(),
    ) {
        let (_directory, site) = site();
        let outcome = survives(&site, &pieces(&bytes, &sizes), ends);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }

    #[test]
    fn any_bytes_get_an_answer_or_a_closed_connection(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        sizes in prop::collection::vec(0..100_usize, 0..6),
        ends in any::<bool>(),
    ) {
        let (_directory, site) = site();
        let outcome = survives(&site, &pieces(&bytes, &sizes), ends);
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}

/// Each file is what one caller sends. Its name begins with the status codes that come back, in order, joined by `+`;
/// `closed` stands for none.
#[test]
fn the_corpus_is_answered_as_its_names_say() {
    let (_directory, site) = site();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/http");
    let (mut count, mut wrong) = (0, Vec::new());
    for entry in std::fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(&path).unwrap();
        let expected = name.split('-').next().unwrap();
        for size in [1, 7, usize::MAX] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let codes = survives(&site, &pieces, false).unwrap_or_else(|error| panic!("{name}: {error}"));
            let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
            let answered = if codes.is_empty() { "closed".to_owned() } else { codes.join("+") };
            if answered != expected {
                wrong.push(format!("{name} in pieces of {size}: {answered}"));
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 20, "{count}");
}

/// The same server answers with all of it to a caller that bears the token.
#[test]
fn with_the_token_the_same_requests_are_answered() {
    let (_directory, site) = site();
    for path in ["/config", "/client.key", "/docker-client.tar", "/logs/kubelet"] {
        let request = format!("GET {path} HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
        let answer = block_on(exchange(&site, &[request.as_bytes()], false));
        assert_eq!(statuses(&answer), Some(vec![200]), "{path}");
    }
}
