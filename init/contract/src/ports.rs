//! Ports inside the container. They are part of the contract that `bsycorp/kind` users rely on and never change;
//! what they are published as is the caller's choice.

/// Status, readiness and kubeconfig over HTTP.
pub const HTTP: u16 = 10080;
/// The same server for browsers, which refuse [`HTTP`]: it is on their list of unsafe ports.
pub const WEB: u16 = 10088;
/// The Kubernetes API server.
pub const API: u16 = 8443;
/// The Docker API, plain TCP, served by `kubake-init` and passed on to dockerd's unix socket.
pub const DOCKER: u16 = 2375;
/// The same with mutual TLS: only who holds the client certificate of this very container gets in.
pub const DOCKER_TLS: u16 = 2376;
