//! What is made once a run, when the first case needs it: the `kubake` program, the baked image, the image's own
//! `kubectl`. `--list` and a filter without matches make nothing.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

use crate::engine;
use crate::process::{self, Background, Output, Show};

/// Names a `kubake` program to test instead of one built from this checkout.
const PROGRAM_VARIABLE: &str = "KUBAKE_BIN";
/// Names a baked image to test instead of the one that this checkout bakes.
const IMAGE_VARIABLE: &str = "KUBAKE_E2E_IMAGE";
/// Leaves the shared cluster running after the last case, and takes one that runs: for people who write tests.
const KEEP_VARIABLE: &str = "KUBAKE_E2E_KEEP";
/// With `full` the endurance cases do many rounds instead of a few.
const ENDURANCE_VARIABLE: &str = "KUBAKE_E2E_ENDURANCE";
/// Compiling `kubake` from nothing.
const COMPILE_PATIENCE: Duration = Duration::from_secs(30 * 60);
/// A first bake: an engine is installed, Kubernetes is compiled, a cluster made.
const BAKE_PATIENCE: Duration = Duration::from_secs(90 * 60);

/// What cases share, except the clusters.
#[derive(Debug)]
pub struct Lab {
    program: PathBuf,
    scratch: Mutex<Option<TempDir>>,
    scratch_path: PathBuf,
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

/// Removes the lab's files. To be called after the last case, because statics are never dropped.
pub(crate) fn close() {
    if let Some(Ok(lab)) = LAB.get() {
        drop(lock(&lab.scratch).take());
    }
}

/// Whether the shared cluster of an earlier run is used, and left running.
pub(crate) fn keeps() -> bool {
    std::env::var_os(KEEP_VARIABLE).is_some_and(|value| !value.is_empty())
}

/// Whether endurance is wanted in full.
///
/// # Errors
/// When the variable holds something else: a short run would be taken for a full one.
pub fn is_endurance_full() -> Result<bool> {
    match std::env::var_os(ENDURANCE_VARIABLE).unwrap_or_default().to_str() {
        Some("") => Ok(false),
        Some("full") => Ok(true),
        other => bail!("{ENDURANCE_VARIABLE} is {other:?}; it can only be `full`"),
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

    /// The command `kubake` with arguments. It writes to the kubeconfig in `directory` and to no other, and gets no variables
    /// that begin with `KUBAKE_`.
    pub fn kubake<A: AsRef<OsStr>>(&self, directory: &Path, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("KUBAKE_") {
                command.env_remove(name);
            }
        }
        command.env("KUBECONFIG", kubeconfig(directory));
        // Below the checkout, so that its sources are found, and not at its top, where a `kubake.yaml` may be.
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    }

    /// Runs `kubake`; the caller judges its exit code.
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
                // Shown, because a first bake takes many minutes.
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
    // The variables that cargo sets for a test would make build scripts of dependencies (ring's) find a change: they would
    // be compiled again in every run, and again by the next `cargo build`.
    for (name, _) in std::env::vars_os() {
        let prefixes = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if prefixes.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
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

/// The guard, also after a case that panicked while it held it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
