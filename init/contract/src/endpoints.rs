//! Endpoints of the HTTP server on [`ports::HTTP`].

/// A short page for people: what this is and where the rest is.
pub const INDEX: &str = "/";
/// 200 as long as PID 1's supervisor answers at all.
pub const HEALTHZ: &str = "/healthz";
/// 200 when the Docker API answered in this boot; else 503 with the reason.
pub const DOCKER_READY: &str = "/docker-ready";
/// 200 when the cluster proved itself in this boot; else 503 with the reason.
pub const KUBERNETES_READY: &str = "/kubernetes-ready";
/// The kubeconfig, its server named as the caller reached us.
pub const CONFIG: &str = "/config";
/// The certificate of the cluster's CA, as PEM. Public.
pub const CA_CERT: &str = "/ca.crt";
/// The client certificate of the served kubeconfig, as PEM.
pub const CLIENT_CERT: &str = "/client.crt";
/// Its private key, as PEM.
pub const CLIENT_KEY: &str = "/client.key";
/// What a Docker client needs for port 2376, as a tar of `ca.pem`, `cert.pem` and `key.pem` (`DOCKER_CERT_PATH`).
pub const DOCKER_CLIENT: &str = "/docker-client.tar";
/// The version of Kubernetes, such as `v1.36.3`.
pub const KUBERNETES_VERSION: &str = "/kubernetes-version";
/// The node's fixed address.
pub const STATIC_IP: &str = "/static-ip";
/// Phases and state as JSON ([`crate::status::Status`]).
pub const STATUS: &str = "/status";
/// What the container has used so far, in all and by program, as JSON ([`crate::usage::Usage`]).
pub const USAGE: &str = "/usage";
/// Prefix of the logs: `/logs/` lists them, `/logs/NAME` is the tail of one.
pub const LOGS: &str = "/logs/";
