//! A real registry and a real proxy, Debian's `docker-registry` and `tinyproxy`, each in a container of its own. Nothing is
//! pulled for them and nothing installed on this host: their image is built on the one that is tested, which is a Debian.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::engine::{self, Container, Images, Network};
use crate::lab::{self, Lab};
use crate::openssl::{Authority, KeyForm};
use crate::{debian, poll};

/// The image of both.
const IMAGE: &str = "kubake-e2e/registry:1";
const START_PATIENCE: Duration = Duration::from_secs(60);
const REGISTRY_PORT: u16 = 5000;
const PROXY_PORT: u16 = 8888;
/// Where a server's files are mounted.
const MOUNT: &str = "/srv/kubake-e2e";

/// Builds the image of both servers; it goes when this is dropped.
///
/// # Errors
/// When the packages cannot be had.
pub fn build(lab: &Lab) -> Result<Images> {
    let guard = Images::guard([IMAGE]);
    let dockerfile = "RUN apt-get update -q && \
        apt-get install -qy --no-install-recommends apache2-utils docker-registry tinyproxy\n\
        HEALTHCHECK NONE\nENTRYPOINT []\n";
    debian::build_on(lab, lab.image()?, IMAGE, dockerfile)?;
    Ok(guard)
}

/// A registry with TLS that requires a password.
#[derive(Debug)]
pub struct Registry {
    container: Container,
    directory: TempDir,
    host: String,
    authority: Authority,
}

impl Registry {
    /// The user that the registry accepts.
    pub const USER: &'static str = "kubake-e2e";
    pub const PASSWORD: &'static str = "kubake-e2e-registry-password";

    /// Starts one with this `name` in a network, with a certificate of a private CA.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn start(lab: &Lab, container: &str, network: &Network, name: &str) -> Result<Self> {
        let directory = lab.directory()?;
        let authority = Authority::make(KeyForm::Pkcs8)?;
        let (certificate, key) = authority.issue(name)?;
        let write = |file: &str, text: &str| lab::write(&directory.path().join(file), text);
        write("server.crt", &certificate)?;
        write("server.key", &key)?;
        write("htpasswd", &htpasswd()?)?;
        write("config.yml", &config())?;
        let volume = format!("{}:{MOUNT}:ro", directory.path().display());
        let serve = format!("{MOUNT}/config.yml");
        let arguments = ["--network", network.name(), "--network-alias", name, "--volume", &volume];
        let command = [IMAGE, "docker-registry", "serve", &serve];
        let container = Container::run(container, arguments.iter().chain(&command))?;
        let host = format!("{name}:{REGISTRY_PORT}");
        wait_listening(container.name(), REGISTRY_PORT)?;
        Ok(Self { container, directory, host, authority })
    }

    /// The host as in names of images.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The CA that signed its certificate.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Its log: a line for each request.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn log(&self) -> Result<String> {
        engine::logs(self.container.name())
    }

    /// Where its files lie.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// A proxy that passes all requests on.
#[derive(Debug)]
pub struct Proxy {
    container: Container,
    _directory: TempDir,
    url: String,
}

impl Proxy {
    /// Starts one with this `name` in one network, which is in another one as well.
    ///
    /// # Errors
    /// When it does not serve.
    pub fn start(lab: &Lab, container: &str, inside: &Network, beyond: &Network, name: &str) -> Result<Self> {
        let directory = lab.directory()?;
        let config = format!("Port {PROXY_PORT}\nListen 0.0.0.0\nTimeout 60\nLogLevel Connect\nMaxClients 50\n");
        lab::write(&directory.path().join("tinyproxy.conf"), config)?;
        let volume = format!("{}:{MOUNT}:ro", directory.path().display());
        let file = format!("{MOUNT}/tinyproxy.conf");
        let arguments = ["--network", inside.name(), "--network-alias", name, "--volume", &volume];
        let command = [IMAGE, "tinyproxy", "-d", "-c", &file];
        let container = Container::run(container, arguments.iter().chain(&command))?;
        engine::run(["network", "connect", beyond.name(), container.name()])?;
        wait_listening(container.name(), PROXY_PORT)?;
        Ok(Self { container, _directory: directory, url: format!("http://{name}:{PROXY_PORT}") })
    }

    /// The value for `HTTPS_PROXY`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its log: a line for each request.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn log(&self) -> Result<String> {
        engine::logs(self.container.name())
    }
}

/// Connects within the container: no port is published.
fn wait_listening(container: &str, port: u16) -> Result<()> {
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let listening = poll::until(&format!("{container} listens on {port}"), START_PATIENCE, || {
        engine::run(["exec", container, "bash", "-c", &connect])
    });
    listening.map(drop).with_context(|| engine::logs(container).unwrap_or_default())
}

/// A line of `htpasswd`, made with the registry's own hash.
fn htpasswd() -> Result<String> {
    let run = ["run", "--rm", "--label", crate::LABEL, IMAGE, "htpasswd", "-Bbn", Registry::USER, Registry::PASSWORD];
    engine::run(run).map(|line| line + "\n").context("hash a password")
}

fn config() -> String {
    format!(
        "version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/docker-registry
http:
  addr: 0.0.0.0:{REGISTRY_PORT}
  secret: kubake-e2e
  tls:
    certificate: {MOUNT}/server.crt
    key: {MOUNT}/server.key
auth:
  htpasswd:
    realm: kubake-e2e
    path: {MOUNT}/htpasswd
"
    )
}
