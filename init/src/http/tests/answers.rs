//! What is answered to requests that need no token.

use hyper::StatusCode;
use kubake_contract::status::{Outcome, Readiness, State};

use super::fixture::{PEER, get, request, site};
use crate::http::routes;
use crate::status::Board;

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
async fn usage_is_read_for_each_request() {
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
async fn readiness_comes_from_the_board() {
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
async fn a_wait_that_is_too_short_ends_with_what_is_missing() {
    let (_directory, site) = site();
    let begun = tokio::time::Instant::now();
    let (code, _, body) = get(&site, "/kubernetes-ready?wait=60s", &[]).await;
    assert_eq!((code, body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "the boot has only begun\n"));
    assert_eq!(begun.elapsed().as_secs(), 60);
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
async fn unknown_paths_and_methods_are_refused() {
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
