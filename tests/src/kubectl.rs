//! `kubectl` as a user runs it: on the host, with a kubeconfig that the cluster served. Owns namespaces, which are deleted
//! with the case that created them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{self, Output};
use crate::{lab, poll};

/// Time limit of an ordinary command on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long pods may take to start, and services to be reachable.
pub const POD_PATIENCE: Duration = Duration::from_secs(120);

/// A `kubectl` for one cluster.
#[derive(Debug)]
pub struct Kubectl {
    program: PathBuf,
    directory: TempDir,
}

impl Kubectl {
    /// A `kubectl` with this kubeconfig, which is written into `directory`.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn new(program: &Path, directory: TempDir, kubeconfig: &str) -> Result<Self> {
        lab::write(&lab::kubeconfig(directory.path()), kubeconfig)?;
        Ok(Self { program: program.to_owned(), directory })
    }

    /// The command with arguments.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command
            // Its cache of the API must not outlive the cluster, nor come from another one.
            .env("HOME", self.directory.path())
            .env("KUBECONFIG", lab::kubeconfig(self.directory.path()))
            .args(arguments);
        command
    }

    /// Runs it; the caller judges its exit code.
    ///
    /// # Errors
    /// When it hangs.
    pub fn output<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
        process::run(&mut self.command(arguments), PATIENCE)
    }

    /// Runs it and returns its stdout.
    ///
    /// # Errors
    /// When it fails.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        Ok(self.output(arguments)?.success()?.trim_end().to_owned())
    }

    /// Runs it with `--output json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        let text = process::run(self.command(arguments).args(["--output", "json"]), PATIENCE)?.success()?;
        serde_json::from_str(&text).with_context(|| format!("kubectl wrote no JSON: {text}"))
    }

    /// Applies an object.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply(&self, object: &Value) -> Result<()> {
        let file = self.directory.path().join("object.json");
        lab::write(&file, object.to_string())?;
        self.run(["apply".as_ref(), "--filename".as_ref(), file.as_os_str()])?;
        Ok(())
    }

    /// Creates a namespace for one case.
    ///
    /// # Errors
    /// When its default service account does not appear.
    pub fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        // A case may run twice on a cluster that is kept, and a namespace takes long to go.
        let name = format!("{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let namespace = Namespace { kubectl: self, name };
        self.run(["create", "namespace", &namespace.name])?;
        // Pods that are created by hand are refused until the controller manager has made the account.
        poll::until("the namespace's default service account", PATIENCE, || {
            namespace.run(["get", "serviceaccount", "default"])
        })?;
        Ok(namespace)
    }
}

/// A namespace that is deleted when this is dropped.
#[derive(Debug)]
pub struct Namespace<'a> {
    kubectl: &'a Kubectl,
    name: String,
}

impl Namespace<'_> {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn arguments<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Vec<std::ffi::OsString> {
        let own = ["--namespace", &self.name].map(std::ffi::OsString::from);
        own.into_iter().chain(arguments.into_iter().map(|argument| argument.as_ref().to_owned())).collect()
    }

    /// The command with arguments.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        self.kubectl.command(self.arguments(arguments))
    }

    /// Runs `kubectl` here; the caller judges its exit code.
    ///
    /// # Errors
    /// When it hangs.
    pub fn output<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
        self.kubectl.output(self.arguments(arguments))
    }

    /// Runs `kubectl` here.
    ///
    /// # Errors
    /// When it fails.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        self.kubectl.run(self.arguments(arguments))
    }

    /// Runs `kubectl` here with `--output json`.
    ///
    /// # Errors
    /// When it fails.
    pub fn json<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Value> {
        self.kubectl.json(self.arguments(arguments))
    }

    /// Applies an object here.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub fn apply(&self, mut object: Value) -> Result<()> {
        object["metadata"]["namespace"] = self.name.as_str().into();
        self.kubectl.apply(&object)
    }

    /// Waits until all pods with this name as their `app` label are ready, and there is one at least.
    ///
    /// # Errors
    /// When they do not get ready; with what the cluster says about them.
    pub fn wait_ready(&self, app: &str) -> Result<()> {
        let ready = poll::until(&format!("pods of `{app}` are ready"), POD_PATIENCE, || {
            let pods = self.json(["get", "pods", "--selector", &format!("app={app}")])?;
            let pods = pods["items"].as_array().context("a list of pods without items")?;
            ensure!(!pods.is_empty(), "there are none");
            for pod in pods {
                let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
                let is_ready = conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True");
                ensure!(is_ready, "{}: {}", pod["metadata"]["name"], pod["status"]);
            }
            Ok(())
        });
        self.explained(ready)
    }

    /// Waits until a pod has run to its end without an error, and gives its log.
    ///
    /// # Errors
    /// When it does not; with what the cluster says about it.
    pub fn wait_done(&self, pod: &str) -> Result<String> {
        let done = poll::until(&format!("pod `{pod}` has succeeded"), POD_PATIENCE, || {
            let status = self.json(["get", "pod", pod])?["status"].clone();
            match status["phase"].as_str() {
                Some("Succeeded") => Ok(true),
                Some("Failed") => Ok(false),
                _ => bail!("{status}"),
            }
        });
        let succeeded = self.explained(done)?;
        let log = self.run(["logs", pod])?;
        ensure!(succeeded, "pod `{pod}` failed: {log}");
        Ok(log)
    }

    /// Adds pods and events to an error.
    fn explained<T>(&self, result: Result<T>) -> Result<T> {
        result.with_context(|| {
            let listing =
                |what| self.run(["get", what, "--output", "wide"]).unwrap_or_else(|error| format!("{error:#}"));
            format!("in namespace {}\n--- pods\n{}\n--- events\n{}\n---", self.name, listing("pods"), listing("events"))
        })
    }
}

impl Drop for Namespace<'_> {
    fn drop(&mut self) {
        // Not waited for: it takes the cluster longer than the next case should wait.
        let _ = self.kubectl.output(["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]);
    }
}
