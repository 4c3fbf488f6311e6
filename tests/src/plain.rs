//! A cluster that does not know where it runs: no variable names the port under which it is published, as for
//! [`crate::cluster::Cluster`], nor its network. The case chooses both, and the place from which it sends requests.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kubake_contract::{Endpoint, ports};

use crate::engine::{self, Container};
use crate::http::{self, Response};
use crate::lab::Lab;
use crate::poll;

/// A cluster that was started without `kubake`; removed with its volumes when this is dropped.
#[derive(Debug)]
pub struct Plain {
    container: Container,
    /// Where its HTTP endpoint is, if not where the engine says.
    http: Option<u16>,
}

impl Plain {
    /// Runs the baked image under this name with further arguments of `docker run`. Port 10080 is published on a free
    /// port of 127.0.0.1, so that the case itself can ask.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn start(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let publish = format!("127.0.0.1::{}", ports::HTTP);
        let arguments: Vec<&str> = ["--publish", &publish].iter().chain(arguments).copied().collect();
        Ok(Self { container: run(lab, name, &arguments)?, http: None })
    }

    /// The same in the network namespace of the host, where nothing can be published.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn start_on_host(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Self> {
        let arguments: Vec<&str> = ["--network", "host"].iter().chain(arguments).copied().collect();
        Ok(Self { container: run(lab, name, &arguments)?, http: Some(ports::HTTP) })
    }

    /// The name of its container.
    #[must_use]
    pub fn name(&self) -> &str {
        self.container.name()
    }

    /// Asks its HTTP endpoint from this host.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Result<Response> {
        let port = self.http.map_or_else(|| engine::published(self.name(), ports::HTTP), Ok)?;
        http::get(port, path)
    }

    /// Asks its HTTP endpoint for something that must be there.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub fn fetch(&self, path: &str) -> Result<String> {
        self.get(path)?.expect(200).with_context(|| format!("`{path}` of {}", self.name()))
    }

    /// Waits until an endpoint of readiness answers 200.
    ///
    /// # Errors
    /// When it does not, or the container has ended; with the end of its log.
    pub fn wait(&self, endpoint: &str, patience: Duration) -> Result<()> {
        let ready = poll::until(&format!("{endpoint} of {}", self.name()), patience, || {
            let answer = self.get(endpoint)?;
            if answer.status == 200 { Ok(()) } else { bail!("{}", answer.body.trim_end()) }
        });
        ready.with_context(|| {
            let log = engine::logs(self.name()).unwrap_or_else(|error| format!("{error:#}"));
            let lines: Vec<&str> = log.lines().collect();
            format!("--- end of the log\n{}\n---", lines[lines.len().saturating_sub(30)..].join("\n"))
        })
    }

    /// Waits until Kubernetes is ready.
    ///
    /// # Errors
    /// As [`Plain::wait`].
    pub fn wait_ready(&self, patience: Duration) -> Result<()> {
        self.wait(Endpoint::KubernetesReady.path(), patience)
    }

    /// Its address on the engine's default network.
    ///
    /// # Errors
    /// When it has none.
    pub fn address(&self) -> Result<Ipv4Addr> {
        let address = engine::inspect(self.name(), ".NetworkSettings.Networks.bridge.IPAddress")?;
        address.parse().with_context(|| format!("{} has the address {address:?}", self.name()))
    }

    /// Stops it in order, as `docker stop` does.
    ///
    /// # Errors
    /// When the engine has to kill it.
    pub fn stop(&self) -> Result<()> {
        engine::run(["stop", self.name()])?;
        let code = engine::inspect(self.name(), ".State.ExitCode")?;
        if code == "0" { Ok(()) } else { bail!("{} ended with code {code}", self.name()) }
    }
}

fn run(lab: &Lab, name: &str, arguments: &[&str]) -> Result<Container> {
    let image = lab.image()?;
    Container::run(name, ["--privileged"].iter().chain(arguments).copied().chain([image]))
}
