//! A site with one log and without a token, and requests to its routes.

use std::net::IpAddr;

use http_body_util::BodyExt;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use kubake_contract::{ClusterSettings, Node};
use tempfile::TempDir;

use crate::http::{Journal, Site, routes};
use crate::own_hosts::OwnHosts;
use crate::status::Board;

pub(super) const ADMIN: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
    clusters: [{name: c, cluster: {certificate-authority-data: Q0E=, server: https://172.30.99.1:8443}}]\n\
    contexts: [{name: a, context: {cluster: c, user: u}}]\n\
    users: [{name: u, user: {client-certificate-data: Q0VSVA==, client-key-data: S0VZ}}]\n";

pub(super) const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(172, 17, 0, 1));

pub(super) fn site() -> (TempDir, Site) {
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
        own_hosts: OwnHosts::new(["*.example".to_owned()].into()),
        token: None,
        journal: Journal::default(),
    };
    (directory, site)
}

pub(super) fn request(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
    let mut builder = Request::builder().method(method).uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

pub(super) async fn get(site: &Site, target: &str, headers: &[(&str, &str)]) -> (StatusCode, hyper::HeaderMap, String) {
    let (parts, body) = routes::respond(&request("GET", target, headers), site, PEER).await.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    (parts.status, parts.headers, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Writes what Docker clients need, as the first boot does.
pub(super) fn write_docker_client(site: &Site) {
    std::fs::create_dir_all(&site.docker_client_dir).unwrap();
    for name in ["ca.pem", "cert.pem", "key.pem"] {
        let pem = format!("-----BEGIN X-----\n{name}\n-----END X-----\n");
        std::fs::write(site.docker_client_dir.join(name), pem).unwrap();
    }
}
