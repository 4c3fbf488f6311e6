//! What is made once a run, when the first case asks for it: the `kubake` program, the baked image, the shared cluster,
//! the image's own `kubectl`. Nothing is made by `--list` or by a filter that matches nothing.
//!
//! The shared cluster serves all cases that leave it as they found it. It is checked each time it is handed out and
//! replaced where an earlier case broke it, so that one failure stays one failure.

use std::ffi::OsStr;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use kubake_contract::env;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::process::{self, Background, Output, Show};
use crate::{PREFIX, engine};

/// Names a `kubake` program to test instead of one built from this checkout.
const PROGRAM_VARIABLE: &str = "KUBAKE_BIN";
/// Names a baked image to test instead of the one that this checkout bakes.
const IMAGE_VARIABLE: &str = "KUBAKE_E2E_IMAGE";
/// Leaves the shared cluster running after the last case, and takes one that runs: for people who write tests.
const KEEP_VARIABLE: &str = "KUBAKE_E2E_KEEP";
/// With `full` the endurance cases do many rounds instead of a few.
const ENDURANCE_VARIABLE: &str = "KUBAKE_E2E_ENDURANCE";
/// A name and an address that the certificate of the other shared cluster's API server has beside the usual ones.
pub const OTHER_SANS: [&str; 2] = ["extra.example", "10.1.2.3"];
/// How long the certificates of the other shared cluster are valid.
pub const OTHER_VALIDITY: Duration = Duration::from_secs(48 * 3600);
/// Compiling `kubake` from nothing.
const COMPILE_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// A first bake: an engine is installed, Kubernetes is compiled, a cluster made.
const BAKE_PATIENCE: Duration = Duration::from_secs(90 * 60);
/// How long a cluster that was just used may take to settle before it counts as broken.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

/// Where everything is that cases share.
#[derive(Debug)]
pub struct Lab {
    program: PathBuf,
    scratch: Mutex<Option<TempDir>>,
    scratch_path: PathBuf,
    shared: Mutex<Option<Cluster>>,
    other: Mutex<Option<Cluster>>,
    image: OnceLock<Result<String, String>>,
    kubectl: OnceLock<PathBuf>,
}

static LAB: OnceLock<Result<Lab, String>> = OnceLock::new();

/// The lab; made by the first call. Needs no engine yet.
///
/// # Errors
/// When `kubake` cannot be built: then for every case alike.
pub fn lab() -> Result<&'static Lab> {
    let made = LAB.get_or_init(|| Lab::open().map_err(|error| format!("{error:#}")));
    made.as_ref().map_err(|reason| anyhow!("{reason}"))
}

/// Removes everything that the lab made. To be called after the last case, because nobody drops a static.
pub fn close() {
    let Some(Ok(lab)) = LAB.get() else { return };
    lab.retire_other();
    if let Some(cluster) = lock(&lab.shared).take() {
        if keeps() { cluster.keep() } else { drop(cluster) }
    }
    drop(lock(&lab.scratch).take());
}

fn keeps() -> bool {
    std::env::var_os(KEEP_VARIABLE).is_some_and(|value| !value.is_empty())
}

/// Whether endurance is wanted in full.
///
/// # Errors
/// When the variable holds something else: whoever set it would take a short run for a full one.
pub fn is_endurance_full() -> Result<bool> {
    match std::env::var_os(ENDURANCE_VARIABLE).unwrap_or_default().to_str() {
        Some("") => Ok(false),
        Some("full") => Ok(true),
        other => bail!("{ENDURANCE_VARIABLE} is {other:?}; it can only be `full`"),
    }
}

/// A cluster that other cases use, too, one after the other.
#[derive(Debug)]
pub struct Shared(MutexGuard<'static, Option<Cluster>>);

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        // Only `shared` makes one of these, after it has put a cluster there, and the lock keeps it there.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a shared cluster is handed out when it exists"))
    }
}

impl Lab {
    fn open() -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("kubake-e2e-").tempdir().context("cannot make a directory")?;
        let scratch_path = scratch.path().to_owned();
        let program = match std::env::var_os(PROGRAM_VARIABLE).filter(|path| !path.is_empty()) {
            Some(path) => PathBuf::from(path),
            None => compile()?,
        };
        Ok(Self {
            program,
            scratch: Mutex::new(Some(scratch)),
            scratch_path,
            shared: Mutex::new(None),
            other: Mutex::new(None),
            image: OnceLock::new(),
            kubectl: OnceLock::new(),
        })
    }

    /// A new empty directory for one case.
    ///
    /// # Errors
    /// When the disk is full.
    pub fn directory(&self) -> Result<TempDir> {
        TempDir::new_in(&self.scratch_path).context("cannot make a directory")
    }

    /// The command `kubake` with arguments. It writes to the kubeconfig in `directory` and to nobody else's, and what
    /// the environment says about kubake does not reach it.
    pub fn kubake<A: AsRef<OsStr>>(&self, directory: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KUBAKE_") {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", kubeconfig(directory));
        // Below the checkout, so that its sources are found, and not at its top, where somebody's `kubake.yaml` may be.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// Runs `kubake`; how it ended is the caller's to judge.
    ///
    /// # Errors
    /// When it cannot be started or takes longer than `patience`.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        directory: &Path,
        patience: Duration,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Output> {
        process::run(&mut self.kubake(directory, arguments), patience)
    }

    /// The shared cluster, ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn shared(&'static self) -> Result<Shared> {
        let mut shared = lock(&self.shared);
        if let Some(cluster) = shared.as_ref() {
            if cluster.wait_ready(SETTLE_PATIENCE).is_err() {
                *shared = None;
            }
        }
        if shared.is_none() {
            let image = self.image()?;
            // The node port is for the case that reaches a service from outside.
            let arguments = ["--image", image, "--publish", &format!("auto:{}", crate::manifests::NODE_PORT)];
            *shared = Some(Cluster::up(self, PREFIX, &arguments)?);
        }
        Ok(Shared(shared))
    }

    /// Another shared cluster of the same image, ready, started with `docker run` and with certificates as
    /// [`OTHER_SANS`] and [`OTHER_VALIDITY`] say. For cases that compare two; it runs until it is retired.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn other(&'static self) -> Result<Shared> {
        let mut other = lock(&self.other);
        if other.as_ref().is_some_and(|cluster| cluster.wait_ready(SETTLE_PATIENCE).is_err()) {
            *other = None;
        }
        if other.is_none() {
            let sans = format!("--env={}={}", env::CERT_SANS, OTHER_SANS.join(","));
            let validity = format!("--env={}={}h", env::CERT_VALIDITY, OTHER_VALIDITY.as_secs() / 3600);
            *other = Some(Cluster::run(self, &format!("{PREFIX}-other"), &[&sans, &validity])?);
        }
        Ok(Shared(other))
    }

    /// Removes the other shared cluster, so that it takes nothing from the cases that follow.
    pub fn retire_other(&self) {
        drop(lock(&self.other).take());
    }

    /// Removes both shared clusters, for a case that none of them would survive. One that is to be kept stays.
    pub fn retire(&self) {
        self.retire_other();
        if !keeps() {
            drop(lock(&self.shared).take());
        }
    }

    /// The name of the image that this checkout bakes. The first call does everything that is missing on this machine,
    /// from the engine on; a bake whose inputs have not changed is skipped.
    ///
    /// # Errors
    /// When it cannot be made: then for every case alike.
    pub fn image(&self) -> Result<&str> {
        let made = self.image.get_or_init(|| self.bake().map_err(|error| format!("{error:#}")));
        made.as_deref().map_err(|reason| anyhow!("{reason}"))
    }

    fn bake(&self) -> Result<String> {
        let image = match std::env::var(IMAGE_VARIABLE).ok().filter(|image| !image.is_empty()) {
            Some(image) => {
                // `kubake up` would bake one of that name, and then something else would be tested.
                engine::run(["image", "inspect", &image])
                    .with_context(|| format!("{IMAGE_VARIABLE} names `{image}`"))?;
                image
            }
            None => {
                // Shown, because from nothing it takes many minutes.
                let mut command = self.kubake(&self.scratch_path, ["bake", "--yes", "--json"]);
                let text = Background::start(&mut command, Show::Stderr)?.wait(BAKE_PATIENCE)?.success()?;
                let baked: serde_json::Value =
                    serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))?;
                let image = baked["image"].as_str().with_context(|| format!("a bake without an image: {text}"))?;
                image.to_owned()
            }
        };
        if !keeps() {
            engine::sweep();
        }
        Ok(image)
    }

    /// The `kubectl` of the baked image, as a program on this host: none is installed here, and another one would be
    /// another version.
    ///
    /// # Errors
    /// When it cannot be taken out of the image.
    pub fn kubectl(&self, container: &str) -> Result<&Path> {
        if let Some(path) = self.kubectl.get() {
            return Ok(path);
        }
        let path = self.scratch_path.join("kubectl");
        // Followed: in the image it is a link to a program of many names, and acts as the name it is called by.
        let source = format!("{container}:/usr/local/bin/kubectl");
        engine::run(["cp".as_ref(), "--follow-link".as_ref(), source.as_ref(), path.as_os_str()])?;
        Ok(self.kubectl.get_or_init(|| path))
    }

    /// Where shared files lie.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch_path
    }
}

/// The kubeconfig that `kubake` works on for a case.
#[must_use]
pub fn kubeconfig(directory: &Path) -> PathBuf {
    directory.join("kubeconfig")
}

/// Builds `kubake` into the target directory that is in use: cargo gives tests the path of their own package's
/// programs only.
fn compile() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the package lies in a workspace")?;
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(workspace)
        .args(["build", "--release", "--package", "kubake", "--bin", "kubake"])
        .arg("--message-format=json-render-diagnostics");
    // What cargo tells a test about its package would make build scripts of dependencies (ring's) believe that
    // something has changed: they would be compiled again in every run, and again by the next `cargo build`.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if told.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let messages = Background::start(&mut command, Show::Stderr)?.wait(COMPILE_PATIENCE)?.success()?;
    let program = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == "kubake").then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    program.context("cargo built `kubake` and did not say where it is")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A case that panicked with the shared cluster in its hands: `shared` looks whether it still works.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes a file, with its directories.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let parent = path.parent().with_context(|| format!("`{}` has no directory", path.display()))?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}
