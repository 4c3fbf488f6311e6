//! One cluster: started with `kubake up` or a plain `docker run`, observed from outside, removed when dropped. Each use reads
//! the ports anew, because the engine may assign others after a restart.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use kubake_contract::proxies;
use kubake_contract::status::Status;
use kubake_contract::{Endpoint, env, ports};
use tempfile::TempDir;

use crate::engine::{self, Container};
use crate::http::{self, Response};
use crate::kubectl::Kubectl;
use crate::lab::{self, Lab};
use crate::poll;
use crate::process;

/// A boot from an image that exists. It takes seconds; a test machine may be busy.
pub const BOOT_PATIENCE: Duration = Duration::from_secs(240);

/// A cluster in a container, which is removed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    lab: &'static Lab,
    name: String,
    container: Container,
    /// Holds the kubeconfig that `kubake up` merged the cluster into.
    directory: TempDir,
}

impl Cluster {
    /// Starts one of this name from an image that exists, with ports that are free.
    ///
    /// # Errors
    /// When it does not become ready.
    pub fn up(lab: &'static Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let directory = lab.directory()?;
        let guard = Removal(name.to_owned());
        let mut command = lab.kubake(directory.path(), ["up", "--name", name]);
        command.args(["--api-port", "auto", "--http-port", "auto", "--docker-port", "auto"]).args(arguments);
        // `up` would pass these on, and this machine's proxies and logins do not work in a test's networks.
        for variable in proxies::VARIABLES.iter().chain(&[env::REGISTRY, env::REGISTRY_USER, env::REGISTRY_PASSWORD]) {
            command.env_remove(variable);
        }
        process::run(&mut command, BOOT_PATIENCE)?.success()?;
        let containers = engine::containers(&engine::cluster_label(name))?;
        let [container] = containers.iter().collect::<Vec<_>>()[..] else {
            bail!("`kubake up --name {name}` left {} containers of that name", containers.len());
        };
        let cluster = Self { lab, name: name.to_owned(), container: Container::guard(container), directory };
        // From here on the cluster's own guard is there.
        std::mem::forget(guard);
        Ok(cluster)
    }

    /// Starts one with `docker run`, as a CI system does, with arguments for the engine, and waits until it is ready.
    /// It keeps its ports when it is started again.
    ///
    /// # Errors
    /// When it does not become ready, at once when its container ends.
    pub fn run(lab: &'static Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let image = lab.image()?;
        let directory = lab.directory()?;
        // Chosen here, because a variable has to name the port under which the cluster is reached.
        let (http, api) = (free_port()?, free_port()?);
        let publish = |host, port| format!("--publish=127.0.0.1:{host}:{port}");
        let own = [
            "--privileged".to_owned(),
            publish(http, ports::HTTP),
            publish(api, ports::API),
            format!("--publish=127.0.0.1::{}", ports::DOCKER),
            format!("--env={}={api}", env::API_PORT),
        ];
        let all = own.iter().map(String::as_str).chain(arguments.iter().copied()).chain([image]);
        let container = Container::run(name, all)?;
        let cluster = Self { lab, name: name.to_owned(), container, directory };
        // The inner error ends the wait: a container that has ended does not become ready.
        let ended = poll::until(&format!("cluster {name} is ready"), BOOT_PATIENCE, || {
            let answer = cluster.get(Endpoint::KubernetesReady.path());
            if answer.is_err() && engine::inspect(name, ".State.Running")? == "false" {
                return Ok(Err(anyhow!("its container ended with {}", engine::inspect(name, ".State.ExitCode")?)));
            }
            Ok(Ok(answer?.expect(200).map(drop)?))
        });
        ended.and_then(|end| end).map_err(|error| cluster.with_log(&error))?;
        Ok(cluster)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its container's id.
    #[must_use]
    pub fn container(&self) -> &str {
        self.container.name()
    }

    /// The directory with its kubeconfig.
    #[must_use]
    pub fn directory(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// Leaves the container running.
    pub fn keep(self) {
        std::mem::forget(self.container);
    }

    /// Asks its HTTP endpoint.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Response> {
        http::get(engine::published(self.container(), ports::HTTP)?, path)
    }

    /// Asks its HTTP endpoint for something that must be there.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub fn fetch(&self, path: &str) -> Result<String> {
        self.get(path)?.expect(200).with_context(|| format!("`{path}` of cluster {}", self.name))
    }

    /// Its status.
    ///
    /// # Errors
    /// When it does not have the form that the contract declares.
    pub fn status(&self) -> Result<Status> {
        let text = self.fetch(Endpoint::Status.path())?;
        serde_json::from_str(&text).with_context(|| format!("the status does not have the declared form: {text}"))
    }

    /// Waits until `/kubernetes-ready` answers 200.
    ///
    /// # Errors
    /// When it does not; with what is missing and the end of the container's log.
    pub fn wait_ready(&self, patience: Duration) -> Result<()> {
        let ready = poll::until(&format!("cluster {} is ready", self.name), patience, || {
            self.get(Endpoint::KubernetesReady.path())?.expect(200)
        });
        ready.map(drop).map_err(|error| self.with_log(&error))
    }

    fn with_log(&self, error: &anyhow::Error) -> anyhow::Error {
        let log = engine::logs(self.container()).unwrap_or_else(|error| format!("{error:#}"));
        let lines: Vec<&str> = log.lines().collect();
        anyhow!("{error:#}\n--- end of the log\n{}\n---", lines[lines.len().saturating_sub(30)..].join("\n"))
    }

    /// Address of its API server on this host.
    ///
    /// # Errors
    /// When the port is not published.
    pub fn api_server(&self) -> Result<String> {
        Ok(format!("https://127.0.0.1:{}", engine::published(self.container(), ports::API)?))
    }

    /// `kubectl` on this host with the kubeconfig that `/config` serves now.
    ///
    /// # Errors
    /// When there is none.
    pub fn kubectl(&self) -> Result<Kubectl> {
        let kubeconfig = self.fetch(Endpoint::Config.path())?;
        Kubectl::new(self.lab.kubectl(self.container())?, self.lab.directory()?, &kubeconfig)
    }

    /// Runs a command in the node.
    ///
    /// # Errors
    /// When it fails.
    pub fn node(&self, command: &[&str]) -> Result<String> {
        engine::run(["exec", self.container()].iter().chain(command))
    }

    /// Address of its Docker API, as `DOCKER_HOST`.
    ///
    /// # Errors
    /// When the port is not published.
    pub fn docker_host(&self) -> Result<String> {
        Ok(format!("tcp://127.0.0.1:{}", engine::published(self.container(), ports::DOCKER)?))
    }

    /// Removes it with `kubake down`, as a user does.
    ///
    /// # Errors
    /// When that fails.
    pub fn down(&self) -> Result<()> {
        let arguments = ["down", "--name", &self.name];
        self.lab.run(self.directory(), Duration::from_secs(60), arguments)?.success()?;
        Ok(())
    }

    /// The kubeconfig that `kubake up` merged it into.
    #[must_use]
    pub fn kubeconfig(&self) -> std::path::PathBuf {
        lab::kubeconfig(self.directory())
    }
}

/// A port that is free now. Another program may take it meanwhile; then the engine reports that.
///
/// # Errors
/// When all are taken.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on any port")?;
    Ok(listener.local_addr().context("a listener without an address")?.port())
}

/// Removes all containers with a cluster's label: `up` may have failed after it created one.
struct Removal(String);

impl Drop for Removal {
    fn drop(&mut self) {
        for container in engine::containers(&engine::cluster_label(&self.0)).unwrap_or_default() {
            drop(Container::guard(container));
        }
    }
}

/// Checks that nothing with a cluster's name is in the engine.
///
/// # Errors
/// When something is.
pub fn ensure_no_trace(name: &str) -> Result<()> {
    let _removal = Removal(name.to_owned());
    let left = engine::containers(&engine::cluster_label(name))?;
    ensure!(left.is_empty(), "containers of `{name}` were left behind: {left:?}");
    let filter = format!("label={}", engine::cluster_label(name));
    let left = engine::run(["volume", "ls", "--quiet", "--filter", &filter])?;
    ensure!(left.is_empty(), "volumes of `{name}` were left behind: {left}");
    Ok(())
}
