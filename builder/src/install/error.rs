//! Why there still is no engine, and what the user can do.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::advice::Advice;
use crate::engine::EngineError;
use crate::process::RunError;

/// The oldest major version of Docker that works.
pub(super) const OLDEST: u32 = 23;
/// Without this one there is no engine.
pub(super) const ENGINE_PACKAGE: &str = "docker.io";

/// Marks the command after which packages may be half installed.
pub(super) const INSTALL_FAILED: &str = "apt-get install failed";

/// Why there still is no engine.
#[derive(Debug, Error)]
pub(crate) enum InstallError {
    /// The user did not allow the installation.
    #[error("{reason}; allow kubake to {action} with --yes, or do it yourself")]
    NotAllowed {
        /// What is wrong.
        reason: String,
        /// What would be done.
        action: &'static str,
    },
    #[error("only root can {action}; run the same command with sudo")]
    NotRoot { action: &'static str },
    /// Neither Debian nor Ubuntu.
    #[error(
        "kubake installs an engine on Debian and Ubuntu only, and this is {system}; install docker or podman by hand"
    )]
    Unsupported { system: String },
    /// No package, and no newer release to take it from.
    #[error(
        "{system} has {found} of `{ENGINE_PACKAGE}`, kubake needs {OLDEST} or newer; install a newer Docker by hand"
    )]
    TooOld {
        system: String,
        /// `version …` or `no version`.
        found: String,
    },
    /// apt would remove packages, which may be the user's own engine.
    #[error(
        "apt would remove {} to install {}, and kubake removes no package; start the engine that these belong to or name \
         it with DOCKER_HOST, or remove them yourself",
        .removed.join(", "), .packages.join(", ")
    )]
    WouldRemove { packages: Vec<String>, removed: Vec<String> },
    /// The newer release's keys are missing.
    #[error("no keyring of Debian's archive in /usr/share/keyrings; install the package debian-archive-keyring")]
    NoKeyring,
    /// apt's sources name no mirror to take the newer release from.
    #[error("apt's sources name no mirror of Debian; add one, or install docker or podman by hand")]
    NoMirror,
    /// A file of the host.
    #[error("{action} `{}`", .path.display())]
    File {
        /// `read`, `write` …
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// apt or systemctl failed.
    #[error("{what}; see its output above, correct it and try again")]
    Command {
        /// What did not work.
        what: &'static str,
        #[source]
        source: RunError,
    },
    /// dockerd ended or did not answer.
    #[error("dockerd {what}; the end of {}:\n{tail}", .log.display())]
    Dockerd {
        what: String,
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// dockerd would not go.
    #[error("process {pid} (`{name}`) does not end; look at it with `ps -fp {pid}`")]
    WouldNotStop { pid: i32, name: String },
    /// The user asked to stop.
    #[error("interrupted while waiting for dockerd")]
    Interrupted,
    /// What is there does not work for another reason.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl Advice for InstallError {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Command { source, .. } => Some(source),
            Self::Engine(error) => Some(error),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        Some("`kubake doctor` checks this machine".to_owned())
    }

    fn leftover(&self) -> Option<String> {
        match self {
            Self::Command { what, .. } if *what == INSTALL_FAILED => Some(
                "interrupted while apt installed packages; those that are installed stay, and `dpkg --configure -a` \
                 completes what is half done"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}
