//! The kubeconfig, certificates and keys as callers get them.

use hyper::StatusCode;

use super::fixture::{ADMIN, get, site, write_docker_client};
use crate::kubeconfig::Kubeconfig;

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
    assert!(body.ends_with("key.pem is not a complete PEM file\n"), "{body}");
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
async fn secrets_are_not_served_under_names_of_strangers() {
    let (_directory, site) = site();
    std::fs::write(&site.kubeconfig_path, ADMIN).unwrap();
    write_docker_client(&site);
    let secrets = ["/config", "/client.crt", "/client.key", "/docker-client.tar", "/logs/", "/logs/kubelet"];
    let host = ("host", "docker:10080");
    for target in secrets {
        for headers in [
            &[("host", "rebind.test:10080")][..],
            &[("host", "a\"b")],
            &[host, ("host", "rebind.test")],
            &[host, ("x-forwarded-host", "rebind.test")],
            &[host, ("forwarded", "host=rebind.test;proto=http")],
        ] {
            let (code, _, body) = get(&site, target, headers).await;
            assert_eq!(code, StatusCode::MISDIRECTED_REQUEST, "{target} {headers:?}");
            assert!(body.contains("KUBAKE_CERT_SANS") && body.lines().count() == 1, "{body}");
        }
        for headers in [&[host][..], &[("host", "own.example")], &[("host", "10.1.2.3:10080"), ("forwarded", "host=a")]]
        {
            assert_eq!(get(&site, target, headers).await.0, StatusCode::OK, "{target} {headers:?}");
        }
    }
    for target in ["/", "/status", "/healthz", "/ca.crt", "/kubernetes-version"] {
        assert_eq!(get(&site, target, &[("host", "rebind.test")]).await.0, StatusCode::OK, "{target}");
    }
    let logged = site.journal.logged();
    assert_eq!(logged.get("Misdirected /config 172.17.0.1"), Some(&4), "{logged:?}");
}
