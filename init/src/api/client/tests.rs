//! The client against a TLS server that plays a script: what comes over the wire is written out byte for byte.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto::ring};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};

use super::*;

/// A CA that signs for both sides.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { params, key, pem }
    }

    /// A certificate and its key.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::OrganizationName, "kubeadm:cluster-admins");
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()
    }
}

/// The server's answers, request by request; it closes the connection after the last. An answer is a list of pieces
/// that are sent one by one.
type Script = Vec<&'static [&'static str]>;

struct Server {
    address: SocketAddr,
    authority: Arc<Authority>,
    requests: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// A server that plays one script per connection, and closes those that have none.
    async fn start(scripts: Vec<Script>) -> Self {
        let authority = Arc::new(Authority::new("ca"));
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let (certificate, key) = authority.issue(&["kubernetes", "127.0.0.1"]);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (seen, count) = (Arc::clone(&requests), Arc::clone(&connections));
        tokio::spawn(async move {
            let mut scripts = scripts.into_iter();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
                let script = scripts.next().unwrap_or_default();
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(tcp).await else { return };
                    play(stream, script, &seen).await;
                });
            }
        });
        Self { address, authority, requests, connections }
    }

    fn kubeconfig(&self, authority: &Authority, server: &str, tls_server_name: &str) -> String {
        let (certificate, key) = authority.issue(&[]);
        let [ca, certificate, key] = [&self.authority.pem, &certificate, &key].map(|pem| STANDARD.encode(pem));
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
             clusters: [{{name: c, cluster: {{certificate-authority-data: {ca}, server: \"{server}\"{tls_server_name}}}}}]\n\
             contexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{client-certificate-data: {certificate}, client-key-data: {key}}}}}]\n"
        )
    }

    fn client(&self) -> Client {
        let config = self.kubeconfig(&self.authority, &format!("https://{}", self.address), "");
        Client::from_kubeconfig(&config).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn play(mut stream: TlsStream<TcpStream>, script: Script, seen: &Mutex<Vec<String>>) {
    for answer in script {
        let Some(request) = read_request(&mut stream).await else { return };
        seen.lock().unwrap().push(request);
        for piece in answer {
            if stream.write_all(piece.as_bytes()).await.is_err() {
                return;
            }
            stream.flush().await.unwrap();
            // So that pieces arrive as pieces.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let _ = stream.shutdown().await;
}

async fn read_request(stream: &mut TlsStream<TcpStream>) -> Option<String> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.ok()?;
        request.push(byte[0]);
    }
    let head = String::from_utf8(request).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0").parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).unwrap())
}

#[derive(Debug, Deserialize, PartialEq)]
struct Thing {
    name: String,
}

const THING: &[&str] = &["HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n", "{\"name\":", "\"kube\"}"];
const SILENCE: &[&str] = &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"];

#[tokio::test]
async fn a_connection_is_used_again_and_replaced_when_the_server_closed_it() {
    let server = Server::start(vec![vec![THING, THING], vec![THING]]).await;
    let client = server.client();
    for _ in 0..3 {
        assert_eq!(client.get::<Thing>("/api/v1/thing?a=b").await.unwrap().name, "kube");
    }
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
    let request = &server.requests()[0];
    assert!(request.starts_with("GET /api/v1/thing?a=b HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: {}\r\n", server.address)), "{request}");
}

#[tokio::test]
async fn only_reads_are_repeated_after_a_close_within_a_request() {
    // The second request of each connection is read and not answered.
    let server = Server::start(vec![vec![THING, &[]], vec![THING, &[]]]).await;
    let client = server.client();
    for _ in 0..2 {
        client.get::<Thing>("/a").await.unwrap();
    }
    let error = client.create("/a", &serde_json::json!({})).await.unwrap_err();
    assert!(matches!(error, ApiError::Transport { .. }), "{error}");
    assert_eq!(server.requests().iter().filter(|request| request.starts_with("POST")).count(), 1);
}

#[tokio::test]
async fn refusals_carry_the_servers_message() {
    let server = Server::start(vec![vec![
        &[
            "HTTP/1.1 403 Forbidden\r\ntransfer-encoding: chunked\r\n\r\n",
            "26\r\n{\"kind\":\"Status\",\"reason\":\"Forbidden\",\r\n",
            "16\r\n\"message\":\"no access\"}\r\n0\r\n\r\n",
        ],
        &["HTTP/1.1 500 Oh\r\ncontent-length: 21\r\n\r\n[-]etcd failed\n[+]ok\n"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
        &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"],
    ]])
    .await;
    let client = server.client();
    match client.get::<Thing>("/a").await {
        Err(ApiError::Status { code, reason, message, .. }) => {
            assert_eq!((code.as_u16(), reason.as_str(), message.as_str()), (403, "Forbidden", "no access"));
        }
        other => panic!("{other:?}"),
    }
    let error = client.get_text("/readyz?verbose").await.unwrap_err();
    assert!(matches!(&error, ApiError::Status { code, .. } if code.as_u16() == 500), "{error:?}");
    assert!(error.to_string().ends_with("[-]etcd failed\n[+]ok"), "{error}");
    assert_eq!(client.get_text("/readyz").await.unwrap(), "ok");
    assert!(matches!(client.get::<Thing>("/a").await, Err(ApiError::Decode { .. })));
    // The connection stays open after a refusal.
    assert_eq!(server.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn writes_carry_their_content_type() {
    let server = Server::start(vec![vec![THING, THING, THING]]).await;
    let client = server.client();
    client.create("/things", &serde_json::json!({"a": 1})).await.unwrap();
    client.merge_patch("/things/kube", &serde_json::json!({"a": null})).await.unwrap();
    let stored = client.apply("/things/kube", "kubake", "a: 2\n").await.unwrap();
    assert_eq!(stored["name"], "kube");
    let expected = [
        ("POST /things HTTP/1.1", "content-type: application/json\r\n", "{\"a\":1}"),
        ("PATCH /things/kube HTTP/1.1", "content-type: application/merge-patch+json\r\n", "{\"a\":null}"),
        (
            "PATCH /things/kube?fieldManager=kubake&force=true HTTP/1.1",
            "content-type: application/apply-patch+yaml\r\n",
            "a: 2\n",
        ),
    ];
    for (request, (line, kind, body)) in server.requests().iter().zip(expected) {
        assert!(request.starts_with(line) && request.contains(kind) && request.ends_with(body), "{request}");
    }
}

#[tokio::test]
async fn a_watch_gives_events_however_they_are_cut() {
    let server = Server::start(vec![vec![&[
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "10\r\n{\"type\":\"ADDED\",\r\n",
        "16\r\n\"object\":{\"name\":\"a\"}}\r\n",
        "1\r\n\n\r\n",
        "55\r\n{\"type\":\"BOOKMARK\",\"object\":{}}\n{\"type\":\"DELETED\",\"object\":{\"name\":\"b\"}}\n{\"type\":\"MOD\r\n",
        "21\r\nIFIED\",\"object\":{\"name\":\"c\"}}\n\n\n\n\r\n",
        "0\r\n\r\n",
    ]]])
    .await;
    let mut watch = server.client().watch::<Thing>("/things?watch=1", Duration::from_secs(5)).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = watch.next().await {
        let event = event.unwrap();
        events.push(format!("{:?} {}", event.kind, event.object.name));
    }
    assert_eq!(events, ["Added a", "Deleted b", "Modified c"]);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_with_the_reason() {
    let error_line: &[&str] = &[
        "HTTP/1.1 200 OK\r\n\r\n",
        "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\"}}\n",
    ];
    let cut_off: &[&str] = &["HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{\"type\":"];
    let refused: &[&str] = &["HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"];
    let nonsense: &[&str] = &["HTTP/1.1 200 OK\r\n\r\nnonsense\n"];
    let server = Server::start(vec![vec![error_line], vec![cut_off], vec![nonsense], vec![refused]]).await;
    let client = server.client();
    let idle = Duration::from_secs(5);
    let mut watch = client.watch::<Thing>("/things?watch=1", idle).await.unwrap();
    match watch.next().await {
        Some(Err(ApiError::Status { code, reason, .. })) => assert_eq!((code.as_u16(), &*reason), (410, "Expired")),
        other => panic!("{other:?}"),
    }
    assert!(watch.next().await.is_none());
    let mut watch = client.watch::<Thing>("/things?watch=1", idle).await.unwrap();
    assert!(matches!(watch.next().await, Some(Err(ApiError::Transport { .. }))));
    let mut watch = client.watch::<Thing>("/things?watch=1", idle).await.unwrap();
    assert!(matches!(watch.next().await, Some(Err(ApiError::Decode { .. }))));
    let refusal = client.watch::<Thing>("/things?watch=1", idle).await.unwrap_err();
    assert!(matches!(&refusal, ApiError::Status { code, .. } if code.as_u16() == 401), "{refusal:?}");
}

#[tokio::test]
async fn silence_ends_in_a_timeout() {
    // The second request of a connection keeps it open without an answer.
    let server = Server::start(vec![vec![SILENCE, &[]], vec![SILENCE, &[]]]).await;
    let client = server.client().with_timeout(Duration::from_secs(3));
    let mut watch = client.watch::<Thing>("/things?watch=1", Duration::from_millis(200)).await.unwrap();
    // Calls that are dropped again and again do not prolong it.
    let ended = async {
        loop {
            if let Ok(event) = timeout(Duration::from_millis(20), watch.next()).await {
                return event;
            }
        }
    };
    let event = timeout(Duration::from_secs(2), ended).await.unwrap();
    assert!(matches!(event, Some(Err(ApiError::Timeout { .. }))), "{event:?}");
    let client = client.with_timeout(Duration::from_millis(300));
    assert!(matches!(client.get::<Thing>("/a").await, Err(ApiError::Timeout { .. })));
}

#[tokio::test]
async fn a_closed_port_and_a_distrusted_certificate_differ() {
    let server = Server::start(vec![vec![THING], vec![THING], vec![THING]]).await;
    let named = server.kubeconfig(&server.authority, "https://kind.invalid:1", ", tls-server-name: kubernetes");
    let named = Client::from_kubeconfig(&named).unwrap();
    // The name is checked, not resolved.
    assert!(named.clone().connect_to(server.address).get::<Thing>("/a").await.is_ok());
    let wrong =
        server.kubeconfig(&server.authority, &format!("https://{}", server.address), ", tls-server-name: other");
    let error = Client::from_kubeconfig(&wrong).unwrap().get::<Thing>("/a").await.unwrap_err();
    assert!(matches!(error, ApiError::Tls { .. }), "{error:?}");
    // The server checks the client's certificate after the handshake has ended for the client.
    let stranger = server.kubeconfig(&Authority::new("stranger"), &format!("https://{}", server.address), "");
    let error = Client::from_kubeconfig(&stranger).unwrap().get::<Thing>("/a").await.unwrap_err();
    assert!(matches!(error, ApiError::Tls { source: rustls::Error::AlertReceived(_), .. }), "{error:?}");

    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = closed.local_addr().unwrap();
    let hangs_up = async {
        let (stream, _) = closed.accept().await.unwrap();
        drop(stream);
    };
    let client = named.clone().connect_to(address);
    let (result, ()) = tokio::join!(client.get::<Thing>("/a"), hangs_up);
    assert!(matches!(&result, Err(ApiError::Unreachable { .. })), "{result:?}");
    drop(closed);
    let result = client.get::<Thing>("/a").await;
    assert!(matches!(&result, Err(ApiError::Unreachable { .. })), "{result:?}");
}

#[tokio::test]
async fn requests_run_side_by_side() {
    let server = Server::start(vec![vec![THING, THING], vec![THING, THING], vec![THING, THING]]).await;
    let client = server.client();
    let get = || client.get::<Thing>("/a");
    let (first, second, third) = tokio::join!(get(), get(), get());
    assert!(first.is_ok() && second.is_ok() && third.is_ok());
    get().await.unwrap();
    assert_eq!(server.connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn errors_name_the_part_that_cannot_be_used() {
    let server = Server::start(Vec::new()).await;
    let good = server.kubeconfig(&server.authority, "https://127.0.0.1:1", "");
    let key = good.split_once("client-key-data: ").unwrap().1.split_once('}').unwrap().0.to_owned();
    for (bad, what) in [
        (good.replace(&key, "'%%%'"), "client-key-data"),
        (good.replace(&key, "AAAA"), "client-key-data"),
        (good.replace("certificate-authority-data: ", "certificate-authority-data: AAAA #"), "kubeconfig"),
        (good.replace("https://", "http://"), "kubeconfig"),
        (String::new(), "kubeconfig"),
    ] {
        let error = Client::from_kubeconfig(&bad).unwrap_err();
        assert!(error.to_string().starts_with(what), "{error}");
        assert!(!format!("{error:?}").contains(&key));
    }
    let client = Client::from_kubeconfig(&good).unwrap();
    assert!(!format!("{client:?}").contains("PRIVATE"));
    for path in ["", "a", "http://elsewhere/", "/a b", "/a\r\nx: y"] {
        let error = client.get::<Thing>(path).await.unwrap_err();
        assert!(matches!(error, ApiError::Path { .. }), "{error:?}");
    }
}
