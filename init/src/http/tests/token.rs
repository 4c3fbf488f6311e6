//! What the token guards, and what is logged about callers with it and without it.

use hyper::StatusCode;
use kubake_contract::status::{Outcome, State};
use kubake_contract::token::Token;
use kubake_contract::{Endpoint, Guard};

use super::fixture::{ADMIN, PEER, get, request, site, write_docker_client};
use crate::http::routes;

#[tokio::test]
async fn the_token_guards_secrets_and_nothing_else() {
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
async fn ends_of_logs_are_shown_to_callers_with_the_token() {
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
async fn callers_that_fetched_credentials_or_were_refused_are_logged() {
    let (_directory, mut site) = site();
    site.token = Some(Token::parse("open sesame").unwrap());
    let token = [("authorization", "Bearer open sesame")];
    // The answer carries no credentials, so it is not logged.
    get(&site, "/config", &token).await;
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    for _ in 0..3 {
        get(&site, "/config", &token).await;
        get(&site, "/client.key", &[("authorization", "Bearer wrong token")]).await;
        get(&site, "/logs/kubelet", &[]).await;
        get(&site, "/logs/kubelet", &token).await;
        get(&site, "/ca.crt", &[]).await;
    }
    // The journal and not the log: which lines a log gets depends on the subscribers of tests that run in parallel.
    let logged: Vec<_> = site.journal.logged().into_iter().collect();
    let expected = ["Fetched /config 172.17.0.1", "Refused /client.key 172.17.0.1", "Refused /logs/ 172.17.0.1"];
    assert_eq!(logged, expected.map(|line| (line.to_owned(), 2)));
}
