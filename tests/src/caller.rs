//! A caller that fetches a kubeconfig in a container or in a pod, and uses it there unchanged. All callers run the same
//! image, the probe with a `kubectl` beside it. Owns what counts as a kubeconfig that works.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::names;

use crate::engine::{self, Container};
use crate::kubectl::Namespace;
use crate::process::{self, Output};
use crate::{poll, probe};

/// The image that all callers run.
pub const IMAGE: &str = "kubake-e2e/caller:1";

/// `kubectl` on a busy machine; a new name may take a moment to resolve.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where a caller keeps the kubeconfig.
const KUBECONFIG: &str = "/kubeconfig";

/// Builds [`IMAGE`] from the probe program and a `kubectl`; `docker_host` names another engine than the host's.
///
/// # Errors
/// When the build fails.
pub fn build(program: &Path, kubectl: &Path, docker_host: Option<&str>) -> Result<()> {
    probe::build_with(program, kubectl, IMAGE, docker_host)
}

/// The place that a caller runs in.
#[derive(Debug)]
pub enum Caller<'a> {
    /// In a container beside the cluster's.
    Container(Container),
    /// In a pod of this name.
    Pod(&'a Namespace<'a>, &'a str),
}

impl Caller<'_> {
    /// A caller in a container with further arguments of `docker run`.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn container(name: &str, arguments: &[&str]) -> Result<Self> {
        Ok(Self::Container(Container::run(name, arguments.iter().copied().chain([IMAGE, "idle"]))?))
    }

    fn output(&self, command: &[&str]) -> Result<Output> {
        match self {
            Self::Container(container) => {
                process::run(engine::docker(["exec", container.name()]).args(command), PATIENCE)
            }
            Self::Pod(namespace, pod) => namespace.output(["exec", pod, "--"].iter().chain(command)),
        }
    }

    fn run(&self, command: &[&str]) -> Result<String> {
        Ok(self.output(command)?.success()?.trim_end().to_owned())
    }

    /// Fetches the kubeconfig at `url` and uses it without changing a byte.
    ///
    /// # Errors
    /// When it does not name `server`, or does not lead to a cluster that works.
    pub fn uses(&self, url: &str, server: &str) -> Result<()> {
        let used = || {
            poll::until("the kubeconfig can be fetched", PATIENCE, || self.run(&["/probe", "fetch", url, KUBECONFIG]))?;
            let kubectl = ["/kubectl", "--kubeconfig", KUBECONFIG];
            let kubectl = |arguments: &[&str]| self.run(&[&kubectl, arguments].concat());
            let named = kubectl(&["config", "view", "--output", "jsonpath={.clusters[*].cluster.server}"])?;
            ensure!(named == server, "it names {named} instead of {server}");
            let nodes = kubectl(&["get", "nodes", "--output", "name"])?;
            ensure!(nodes == format!("node/{}", names::CONTROL_PLANE), "the nodes are {nodes:?}");
            // An administrator's, and not only a reader's.
            let may = kubectl(&["auth", "can-i", "*", "*", "--all-namespaces"])?;
            ensure!(may == "yes", "all that it allows is {may:?}");
            Ok(())
        };
        used().with_context(|| format!("the kubeconfig at {url}, fetched and used by {self:?}"))
    }
}
