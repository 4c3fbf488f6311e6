//! Queries of the container engine, and cleaning up in it. Owns the guards that remove what a case created, also when it
//! fails or panics, and the sweep of what a killed run left behind.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::labels;

use crate::process::{self, Output};
use crate::{LABEL, PREFIX};

/// Time limit of an ordinary engine command on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The command `docker` with arguments.
pub fn docker<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments);
    command
}

/// Runs `docker`; the caller judges its exit code.
///
/// # Errors
/// When there is no `docker`, or it hangs.
pub fn output<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<Output> {
    process::run(&mut docker(arguments), PATIENCE)
        .context("these tests need a container engine and its `docker` program; `kubake up --yes` installs them")
}

/// Runs `docker` and returns its stdout without white space at the end.
///
/// # Errors
/// When it fails.
pub fn run<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<String> {
    Ok(output(arguments)?.success()?.trim_end().to_owned())
}

fn lines<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Result<BTreeSet<String>> {
    Ok(run(arguments)?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// Ids of all containers, also stopped ones, with this label (`KEY` or `KEY=VALUE`).
///
/// # Errors
/// When the engine does not answer.
pub fn containers(label: &str) -> Result<BTreeSet<String>> {
    lines(["ps", "--all", "--quiet", "--no-trunc", "--filter", &format!("label={label}")])
}

/// The label of a cluster's container.
#[must_use]
pub fn cluster_label(name: &str) -> String {
    format!("{}={name}", labels::CLUSTER)
}

/// Names of all volumes.
///
/// # Errors
/// When the engine does not answer.
pub fn volumes() -> Result<BTreeSet<String>> {
    lines(["volume", "ls", "--quiet"])
}

/// Ids of images without a name that a bake made.
///
/// # Errors
/// When the engine does not answer.
pub fn nameless_images() -> Result<BTreeSet<String>> {
    let label = format!("label={}", labels::STAGE);
    lines(["images", "--quiet", "--no-trunc", "--filter", "dangling=true", "--filter", &label])
}

/// Names of the volumes that a container uses.
///
/// # Errors
/// When there is no such container.
pub fn volumes_of(container: &str) -> Result<BTreeSet<String>> {
    let format = r#"{{range .Mounts}}{{if eq .Type "volume"}}{{println .Name}}{{end}}{{end}}"#;
    lines(["inspect", "--type", "container", "--format", format, container])
}

/// One field of a container's state, such as `.State.ExitCode`.
///
/// # Errors
/// When there is no such container.
pub fn inspect(container: &str, field: &str) -> Result<String> {
    run(["inspect", "--type", "container", "--format", &format!("{{{{{field}}}}}"), container])
}

/// The host port under which a running container's TCP port is published.
///
/// # Errors
/// When it is not.
pub fn published(container: &str, port: u16) -> Result<u16> {
    let answer = run(["port", container, &format!("{port}/tcp")])?;
    let first = answer.lines().next().unwrap_or_default();
    let number = first.rsplit(':').next().and_then(|number| number.parse().ok());
    number.with_context(|| format!("port {port} of {container} is published as {answer:?}"))
}

/// The text that a container wrote to its stdout and stderr.
///
/// # Errors
/// When there is no such container.
pub fn logs(container: &str) -> Result<String> {
    let output = output(["logs", container])?;
    ensure!(output.status.success(), "{output}");
    Ok(output.stdout + &output.stderr)
}

/// A container that is removed with its anonymous volumes when this is dropped.
#[derive(Debug)]
pub struct Container {
    name: String,
}

impl Container {
    /// Guards the container of this name, which need not exist yet.
    #[must_use]
    pub fn guard(name: impl Into<String>) -> Self {
        Self { name: name.into() }
    }

    /// Creates and starts a container with our label.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn run<A: AsRef<OsStr>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Result<Self> {
        let guard = Self::guard(name);
        let mut command = docker(["run", "--detach", "--name", name, "--label", LABEL]);
        command.args(arguments);
        process::run(&mut command, PATIENCE)?.success()?;
        Ok(guard)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next run.
        let _ = output(["rm", "--force", "--volumes", &self.name]);
    }
}

/// A network that is removed when this is dropped.
#[derive(Debug)]
pub struct Network {
    name: String,
}

impl Network {
    /// Creates a bridge network for addresses of this subnet.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn create(name: &str, subnet: &str, gateway: &str) -> Result<Self> {
        let guard = Self { name: name.to_owned() };
        run(["network", "create", "--label", LABEL, "--subnet", subnet, "--gateway", gateway, name])?;
        Ok(guard)
    }

    /// Creates a bridge network in the range that the engine hands out next.
    ///
    /// # Errors
    /// When the engine refuses.
    pub fn create_anywhere(name: &str) -> Result<Self> {
        let guard = Self { name: name.to_owned() };
        run(["network", "create", "--label", LABEL, name])?;
        Ok(guard)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = output(["network", "rm", &self.name]);
    }
}

/// Images that lose their names when this is dropped, and are removed if they have no other.
#[derive(Debug)]
pub struct Images {
    names: Vec<String>,
}

impl Images {
    /// Guards images of these names, which need not exist yet.
    #[must_use]
    pub fn guard<const N: usize>(names: [&str; N]) -> Self {
        Self { names: names.map(str::to_owned).into() }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = output(["rmi", "--force", name]);
        }
    }
}

/// Removes what earlier runs left behind that were killed. Without an engine there is nothing to sweep.
pub fn sweep() {
    let Ok(listing) = run(["ps", "--all", "--format", &format!("{{{{.ID}}}} {{{{.Label \"{}\"}}}}", labels::CLUSTER)])
    else {
        return;
    };
    let ours = listing.lines().filter_map(|line| {
        let (id, cluster) = line.split_once(' ')?;
        cluster.starts_with(PREFIX).then(|| id.to_owned())
    });
    for container in ours.chain(containers(LABEL).unwrap_or_default()) {
        drop(Container::guard(container));
    }
    for network in lines(["network", "ls", "--quiet", "--filter", &format!("label={LABEL}")]).unwrap_or_default() {
        drop(Network { name: network });
    }
}
