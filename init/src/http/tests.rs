//! Requests against the routes alone, and against the whole server over a socket.

use std::net::SocketAddr;
use std::time::Instant;

use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use kubake_contract::status::{Outcome, Readiness, State};
use kubake_contract::{Endpoint, Guard};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::kubeconfig::Kubeconfig;

const ADMIN: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: c, cluster: {certificate-authority-data: Q0E=, server: https://172.30.99.1:8443}}]\n\
    contexts: [{name: a, context: {cluster: c, user: u}}]\n\
    users: [{name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]\n";

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 17, 0, 1));

fn site() -> (TempDir, Site) {
    let directory = tempfile::tempdir().unwrap();
    let logs_dir = directory.path().join("logs");
    std::fs::create_dir(&logs_dir).unwrap();
    std::fs::write(logs_dir.join("kubelet.log"), "one\ntwo\nthree\n").unwrap();
    std::fs::write(directory.path().join("x"), "secret").unwrap();
    let site = Site {
        board: Board::new(),
        settings: ClusterSettings::default(),
        node: Node::control_plane(&ClusterSettings::default()),
        kubeconfig_path: directory.path().join("admin.conf"),
        docker_client_dir: directory.path().join("docker"),
        logs_dir,
        root: directory.path().join("root"),
        api_port: 32768,
        token: None,
        journal: Journal::default(),
    };
    (directory, site)
}

fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

async fn get(site: &Site, target: &str, headers: &[(&str, &str)]) -> (StatusCode, hyper::HeaderMap, String) {
    let (parts, body) = routes::respond(&request("GET", target, headers), site, PEER).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Writes what Docker clients need, as the first boot does.
fn write_docker_client(site: &Site) {
    std::fs::create_dir_all(&site.docker_client_dir).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        let pem = format!("-----BEGIN X-----\n{name}\n-----END X-----\n");
        std::fs::write(site.docker_client_dir.join(name), pem).unwrap();
    }
}

#[tokio::test]
async fn plain_facts() {
    let (_directory, site) = site();
    assert_eq!(get(&site, "/healthz", &[]).await.2, "ok\n");
    assert_eq!(get(&site, "/kubernetes-version", &[]).await.2, "v1.36.3\n");
    assert_eq!(get(&site, "/static-ip", &[]).await.2, "172.30.99.1\n");
    let (code, headers, body) = get(&site, "/status", &[]).await;
    assert_eq!((code, &headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
    assert_eq!(serde_json::from_str::<kubake_contract::status::Status>(&body).unwrap(), site.board.snapshot());
    assert_eq!(headers["cache-control"], "no-store");
    assert_eq!(headers["x-content-type-options"], "nosniff");
}

#[tokio::test]
async fn usage_is_read_anew_for_each_caller() {
    let (_directory, site) = site();
    let (code, _, body) = get(&site, "/usage", &[]).await;
    assert_eq!(code, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(body.starts_with("usage cannot be read: cannot list the processes in "), "{body}");
    let process = site.root.join("proc/1");
    std::fs::create_dir_all(&process).unwrap();
    std::fs::write(process.join("cmdline"), "etcd\0").unwrap();
    for seconds in [1, 2] {
        std::fs::write(process.join("stat"), format!("1 (etcd) S 0 1 1 0 -1 0 0 0 0 0 {seconds}00 0 0 0 20")).unwrap();
        let (code, headers, body) = get(&site, "/usage", &[]).await;
        assert_eq!((code, &headers["content-type"]), (StatusCode::OK, &"application/json".parse().unwrap()));
        let usage: kubake_contract::usage::Usage = serde_json::from_str(&body).unwrap();
        assert!((usage.cpu_seconds - f64::from(seconds)).abs() < 1e-9, "{body}");
        assert_eq!(usage.programs[0].name, "etcd");
        assert!(body.contains("\n  \"writtenBytes\": 0"), "{body}");
    }
}

#[tokio::test]
async fn readiness_is_what_the_board_says() {
    let (_directory, site) = site();
    for (path, set) in [
        ("/docker-ready", (|board, readiness| board.set_docker(readiness)) as fn(&Board, Readiness)),
        ("/kubernetes-ready", |board, readiness| {
            board.set_kubernetes(readiness);
        }),
    ] {
        set(&site.board, Readiness::from_missing(vec!["a".to_owned(), "b".to_owned()]));
        let (code, headers, body) = get(&site, path, &[]).await;
        assert_eq!((code, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "a\nb\n"));
        assert_eq!(headers["retry-after"], "1");
        set(&site.board, Readiness::from_missing(Vec::new()));
        assert_eq!(get(&site, path, &[]).await.2, "ready\n");
    }
    // What was ready before a stop is not ready during it.
    site.board.set_state(State::Stopping, None);
    for path in ["/docker-ready", "/kubernetes-ready?wait=10m"] {
        let (code, _, body) = get(&site, path, &[]).await;
        assert_eq!((code, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the container is stopping\n"));
    }
    assert_eq!(get(&site, "/docker-ready?wait=soon", &[]).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_failed_boot_ends_a_wait_with_its_reason() {
    let (_directory, site) = site();
    let board = site.board.clone();
    let fail = async {
        tokio::task::yield_now().await;
        board.set_state(State::Failed, Some("no route".to_owned()));
    };
    let ((code, _, body), ()) = tokio::join!(get(&site, "/kubernetes-ready?wait=10m", &[]), fail);
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.starts_with("the boot failed: no route\n"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_is_too_short_says_what_is_missing() {
    let (_directory, site) = site();
    let begun = tokio::time::Instant::now();
    let (code, _, body) = get(&site, "/kubernetes-ready?wait=60s", &[]).await;
    assert_eq!((code, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the boot has only begun\n"));
    assert_eq!(begun.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn the_kubeconfig_names_the_server_as_the_caller_does() {
    let (_directory, site) = site();
    let (code, headers, body) = get(&site, "/config", &[("host", "docker:10080")]).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{body}");
    assert_eq!(headers["retry-after"], "1");
    std::fs::write(&site.kubeconfig_path, &ADMIN[..ADMIN.len() / 2]).unwrap();
    assert_eq!(get(&site, "/config", &[]).await.0, StatusCode::SERVICE_UNAVAILABLE);

    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    for (target, hosts, server) in [
        ("/config", &["docker:10080"][..], "https://docker:32768"),
        ("/config", &["[::1]:10080"], "https://[::1]:32768"),
        ("/config", &["172.30.99.1:10080"], "https://172.30.99.1:8443"),
        ("/config", &[], "https://172.30.99.1:8443"),
        ("/config", &["a\"b"], "https://172.30.99.1:8443"),
        ("/config", &["a", "b"], "https://172.30.99.1:8443"),
        ("/config?server=kube", &["docker"], "https://kube:32768"),
        ("/config?server=https%3A%2F%2Fkube%3A1", &["docker"], "https://kube:1"),
        ("http://proxy.example:3128/config", &["docker"], "https://proxy.example:32768"),
    ] {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        let (code, headers, body) = get(&site, target, &headers).await;
        assert_eq!((code, &headers["content-type"]), (StatusCode::OK, &"application/yaml".parse().unwrap()));
        let config = Kubeconfig::parse(&body).unwrap();
        assert_eq!(config.clusters[0].cluster.server, server, "{target} {hosts:?}");
        assert_eq!(config.current_context, "kind");
    }
    let (_, headers, body) = get(&site, "/config?format=json", &[]).await;
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&body).unwrap()["current-context"], "kind");
    for target in ["/config?format=toml", "/config?server=a%0Ab", "/config?server=http://a"] {
        assert_eq!(get(&site, target, &[]).await.0, StatusCode::BAD_REQUEST, "{target}");
    }
}

#[tokio::test]
async fn a_proxy_and_the_query_name_the_server_before_the_host_does() {
    let (_directory, site) = site();
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    let host = ("host", "inner:10080");
    for (target, headers, server) in [
        ("/config", &[host, ("forwarded", "for=10.0.0.1;host=ci.example:443")][..], "https://ci.example:32768"),
        ("/config", &[host, ("x-forwarded-host", "ci.example, inner")], "https://ci.example:32768"),
        ("/config", &[host, ("forwarded", "host=a"), ("x-forwarded-host", "b")], "https://a:32768"),
        ("/config", &[host, ("forwarded", "host=\"a b\""), ("x-forwarded-host", "-")], "https://inner:32768"),
        ("/config", &[host, ("x-forwarded-host", "172.30.99.1")], "https://172.30.99.1:8443"),
        ("/config?server=kube", &[host, ("forwarded", "host=a")], "https://kube:32768"),
        ("/config?port=1", &[host, ("forwarded", "host=a")], "https://a:1"),
        ("/config?port=2", &[], "https://172.30.99.1:2"),
        ("/config?port=3&server=kube", &[host], "https://kube:3"),
        ("/config?port=3&server=kube:4", &[host], "https://kube:4"),
    ] {
        let (code, _, body) = get(&site, target, headers).await;
        assert_eq!(code, StatusCode::OK, "{body}");
        let config = Kubeconfig::parse(&body).unwrap();
        assert_eq!(config.clusters[0].cluster.server, server, "{target} {headers:?}");
    }
    let (code, _, body) = get(&site, "/config?port=http", &[]).await;
    assert_eq!((code, body.as_str()), (StatusCode::BAD_REQUEST, "`http` is not a port: a number from 1 to 65535\n"));
}

#[tokio::test]
async fn certificates_and_keys_are_served_one_by_one() {
    let (_directory, site) = site();
    for (target, pem) in [("/ca.crt", "CA"), ("/client.crt", "CERT"), ("/client.key", "KEY")] {
        let _ = std::fs::remove_file(&site.kubeconfig_path);
        let (code, headers, body) = get(&site, target, &[]).await;
        assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE, "{target}");
        assert_eq!(headers["retry-after"], "1");
        assert!(body.starts_with("there is no kubeconfig yet: "), "{body}");
        std::fs::write(&site.kubeconfig_path, &ADMIN[..ADMIN.len() / 2]).unwrap();
        assert_eq!(get(&site, target, &[]).await.0, StatusCode::SERVICE_UNAVAILABLE, "{target}");
        std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
        let (code, headers, body) = get(&site, target, &[]).await;
        assert_eq!((code, body.as_str()), (StatusCode::OK, pem), "{target}");
        assert_eq!(headers["content-type"], "application/x-pem-file");
        assert_eq!(headers["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn the_docker_clients_archive_can_be_unpacked_into_its_directory() {
    let (_directory, site) = site();
    let (code, _, body) = get(&site, "/docker-client.tar", &[]).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        body.starts_with("there are no certificates for Docker clients yet: ") && body.contains("ca.pem"),
        "{body}"
    );
    write_docker_client(&site);
    let key = site.docker_client_dir.join("key.pem");
    let whole = std::fs::read(&key).unwrap();
    std::fs::write(&key, &whole[..whole.len() / 2]).unwrap();
    let (code, _, body) = get(&site, "/docker-client.tar", &[]).await;
    assert_eq!(code, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.ends_with("key.pem is no whole PEM file\n"), "{body}");
    std::fs::write(&key, &whole).unwrap();

    let (code, headers, body) = get(&site, "/docker-client.tar", &[]).await;
    assert_eq!(code, StatusCode::OK);
    assert_eq!(headers["content-type"], "application/x-tar");
    assert_eq!(headers["cache-control"], "no-store");
    let mut archive = tar::Archive::new(body.as_bytes());
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entry, &mut text).unwrap();
        let name = entry.path().unwrap().display().to_string();
        assert!(text.contains(&name), "{text}");
        found.push((name, entry.header().mode().unwrap()));
    }
    assert_eq!(found, [("ca.pem".into(), 0o644), ("cert.pem".into(), 0o644), ("key.pem".into(), 0o600)]);
}

#[tokio::test]
async fn the_token_guards_what_is_secret_and_nothing_else() {
    let (_directory, mut site) = site();
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    write_docker_client(&site);
    let guarded =
        ["/config", "/client.crt", "/client.key", "/docker-client.tar", "/logs/", "/logs/kubelet", "/logs/nothing"];
    let open = ["/", "/healthz", "/status", "/ca.crt", "/kubernetes-version", "/static-ip", "/nothing"];
    for target in &guarded[..6] {
        assert_eq!(get(&site, target, &[]).await.0, StatusCode::OK, "{target}");
    }
    site.token = Some(Token::parse("open sesame").unwrap());
    for target in guarded {
        for headers in [&[][..], &[("authorization", "Bearer open says me")], &[("authorization", "Basic x")]] {
            let (code, headers, body) = get(&site, target, headers).await;
            assert_eq!(code, StatusCode::UNAUTHORIZED, "{target}");
            assert_eq!(headers["www-authenticate"], "Bearer realm=\"kubake\"");
            assert!(body.contains("Authorization: Bearer TOKEN") && !body.contains("sesame"), "{body}");
        }
        let twice = [("authorization", "Bearer open sesame"), ("authorization", "Bearer open sesame")];
        assert_eq!(get(&site, target, &twice).await.0, StatusCode::UNAUTHORIZED, "{target}");
        let code = get(&site, target, &[("authorization", "bearer open sesame")]).await.0;
        assert_eq!(code, if target == "/logs/nothing" { StatusCode::NOT_FOUND } else { StatusCode::OK }, "{target}");
        let answer = routes::respond(&request("HEAD", target, &[]), &site, PEER).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{target}");
    }
    for target in open {
        assert_ne!(get(&site, target, &[]).await.0, StatusCode::UNAUTHORIZED, "{target}");
    }
    assert!(!format!("{site:?}").contains("sesame"));
}

#[tokio::test]
async fn each_endpoint_with_a_guard_refuses_without_the_token() {
    let (_directory, mut site) = site();
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    write_docker_client(&site);
    site.token = Some(Token::parse("open sesame").unwrap());
    for endpoint in Endpoint::ALL.into_iter().chain([Endpoint::Log("kubelet")]) {
        let name = if let Endpoint::Log(name) = endpoint { name } else { "" };
        let (code, _, _) = get(&site, &format!("{}{name}", endpoint.path()), &[]).await;
        let is_refused = code == StatusCode::UNAUTHORIZED;
        assert_eq!(is_refused, endpoint.guard() != Guard::Open, "{endpoint:?}");
    }
}

#[tokio::test]
async fn ends_of_logs_are_told_to_whoever_bears_the_token() {
    let (_directory, mut site) = site();
    let reason = "phase containerd failed: containerd does not start; the end of its log:\npassword=hunter22";
    site.board.phase_started("containerd");
    site.board.phase_ended("containerd", Outcome::Failed, Some(reason.to_owned()));
    site.board.set_state(State::Failed, Some(reason.to_owned()));
    let targets = ["/status", "/", "/kubernetes-ready", "/docker-ready"];
    for target in targets {
        assert!(get(&site, target, &[]).await.2.contains("hunter22"), "{target}: no token is set");
    }
    site.token = Some(Token::parse("open sesame").unwrap());
    for target in targets {
        for headers in [&[][..], &[("authorization", "Bearer open says me")], &[("accept", "text/html")]] {
            let (code, _, body) = get(&site, target, headers).await;
            assert_ne!(code, StatusCode::UNAUTHORIZED, "{target}");
            assert!(!body.contains("hunter22"), "{target}: {body}");
            assert!(
                body.contains("containerd does not start; the end of its log: (the rest takes the token"),
                "{body}"
            );
        }
        let body = get(&site, target, &[("authorization", "Bearer open sesame")]).await.2;
        assert!(body.contains("hunter22"), "{target}: {body}");
    }
}

#[tokio::test]
async fn it_is_noted_who_fetched_credentials_and_who_was_refused() {
    let (_directory, mut site) = site();
    site.token = Some(Token::parse("open sesame").unwrap());
    let token = [("authorization", "Bearer open sesame")];
    // Nothing was handed out.
    get(&site, "/config", &token).await;
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    for _ in 0..3 {
        get(&site, "/config", &token).await;
        get(&site, "/client.key", &[("authorization", "Bearer wrong token")]).await;
        get(&site, "/logs/kubelet", &[]).await;
        get(&site, "/logs/kubelet", &token).await;
        get(&site, "/ca.crt", &[]).await;
    }
    // Not by way of a log: which of the tests that run beside this one has a subscriber decides what a log gets.
    let told: Vec<_> = site.journal.told().into_iter().collect();
    let expected = ["Fetched /config 172.17.0.1", "Refused /client.key 172.17.0.1", "Refused /logs/ 172.17.0.1"];
    assert_eq!(told, expected.map(|line| (line.to_owned(), 2)));
}

#[tokio::test]
async fn logs_are_listed_and_shown() {
    let (_directory, site) = site();
    assert_eq!(get(&site, "/logs/", &[]).await.2, "kubelet\n");
    assert_eq!(get(&site, "/logs/kubelet", &[]).await.2, "one\ntwo\nthree\n");
    assert_eq!(get(&site, "/logs/kubelet?lines=1", &[]).await.2, "three\n");
    assert_eq!(get(&site, "/logs/kubelet?lines=99999999", &[]).await.0, StatusCode::OK);
    assert_eq!(get(&site, "/logs/kubelet?lines=-1", &[]).await.0, StatusCode::BAD_REQUEST);
    let html = get(&site, "/logs/", &[("accept", "text/html")]).await.2;
    assert!(html.contains("<a href=\"/logs/kubelet\">"), "{html}");
}

#[tokio::test]
async fn strange_paths_and_methods_lead_nowhere() {
    let (_directory, site) = site();
    for target in [
        "/logs/../x",
        "/logs/..%2fx",
        "/logs/%2e%2e/x",
        "/logs/%2e%2e",
        "/logs//kubelet",
        "/logs/kubelet/",
        "//",
        "//healthz",
        "/healthz/",
        "/Healthz",
        "/logs",
        "/logs/kubelet.log",
        "/logs/kubelet%00",
        "/nothing",
        "/logs/.",
        "/%68ealthz",
        "*",
    ] {
        let (code, _, body) = get(&site, target, &[]).await;
        assert_eq!(code, StatusCode::NOT_FOUND, "{target}");
        assert!(!body.contains("secret"), "{target}");
    }
    assert!(get(&site, "/nothing", &[]).await.2.contains("/kubernetes-ready"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        for target in ["/", "/config", "/logs/kubelet"] {
            let answer = routes::respond(&request(method, target, &[]), &site, PEER).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(answer.headers()["allow"], "GET, HEAD");
        }
    }
}

#[tokio::test]
async fn the_page_is_html_for_browsers_and_text_for_curl() {
    let (_directory, site) = site();
    site.board.phase_started("network");
    site.board.phase_ended("network", Outcome::Done, Some("<script>&\"'".to_owned()));
    let (_, headers, html) = get(&site, "/", &[("accept", "text/html,*/*")]).await;
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert!(html.contains("&lt;script&gt;&amp;&quot;&#39;") && !html.contains("<script"), "{html}");
    assert!(html.contains("http-equiv=\"refresh\""));
    let (_, headers, text) = get(&site, "/", &[("accept", "*/*")]).await;
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert!(text.contains("network") && text.contains("kubernetes: the boot has only begun"), "{text}");

    site.board.set_kubernetes(Readiness::from_missing(Vec::new()));
    let html = get(&site, "/", &[("accept", "text/html")]).await.2;
    assert!(!html.contains("http-equiv=\"refresh\"") && html.contains("is ready; it took"), "{html}");
}

struct Running {
    _directory: TempDir,
    address: SocketAddr,
    board: Board,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn start() -> Running {
    let (directory, site) = site();
    let board = site.board.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let server = tokio::spawn(serve(listener, Arc::new(site), async move {
        let _ = stopped.await;
    }));
    Running { _directory: directory, address, board, stop, server }
}

impl Running {
    /// Sends bytes and reads until the server closes.
    async fn send(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is a way to close, too.
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
    // What follows a body is no request.
    let answer =
        running.send(b"GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabcGET /healthz HTTP/1.1\r\n\r\n").await;
    assert!(answer.contains("connection: close\r\n") && answer.matches("HTTP/1.1 ").count() == 1, "{answer}");
    let answer = running.send(b"\x16\x03\x01\x02\x00\x01\x00 nonsense\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{answer}");
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
    for _ in 0..MOST_CONNECTIONS {
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
    // The supervisor says so first; that alone ends the wait.
    running.board.set_state(State::Stopping, None);
    let begun = Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
}
