//! Why there is no engine to work with.

use thiserror::Error;

use crate::advice::Advice;
use crate::process::RunError;

/// Names the engine's program, or its path.
pub(crate) const ENGINE_VARIABLE: &str = "KUBAKE_ENGINE";

/// Why there is no engine to work with.
#[derive(Debug, Error)]
pub(crate) enum EngineError {
    #[error(
        "no container engine: neither `docker` nor `podman` is on PATH; install one (`kubake engine install --yes` does it on Debian and Ubuntu)"
    )]
    NotInstalled,
    /// `KUBAKE_ENGINE` names something that is not there.
    #[error("`{program}`, which {ENGINE_VARIABLE} names, is not an executable; correct or unset {ENGINE_VARIABLE}")]
    NamedNotInstalled { program: String },
    /// The CLI works, the daemon does not answer.
    #[error(
        "the engine behind `{program}` does not answer: {}; start it (`systemctl start docker`, or `kubake engine start`), or correct DOCKER_HOST or the context", .stderr.trim()
    )]
    NotAnswering {
        program: String,
        /// What it says.
        stderr: String,
    },
    /// The daemon's socket is not for this user.
    #[error(
        "no permission to use the engine's socket: {}; run `sudo usermod -aG docker $USER` and log in again, or use sudo", .stderr.trim()
    )]
    PermissionDenied {
        /// What the CLI says.
        stderr: String,
    },
    #[error("`{program}` {version} is too old; kubake needs {needed} or newer, upgrade it")]
    TooOld {
        program: String,
        /// The engine's version.
        version: String,
        /// The oldest that works.
        needed: u32,
    },
    /// The answer to `info` has no version.
    #[error("`{program} info` printed what kubake cannot parse; is `{program}` really docker or podman?")]
    Strange {
        program: String,
        #[source]
        source: serde_json::Error,
    },
    /// Nothing builds images here.
    #[error(
        "the docker CLI has no buildx, which builds images; install the package docker-buildx (Docker's own packages: docker-buildx-plugin)"
    )]
    NoBuilder,
    #[error(transparent)]
    Run(#[from] RunError),
}

impl Advice for EngineError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Run(error) => Some(error),
            _ => None,
        }
    }
}

impl EngineError {}
