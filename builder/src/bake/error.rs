//! Errors of a bake, each with advice for the user.

use std::io;
use std::path::PathBuf;

use kubake_contract::hooks::FindError;
use thiserror::Error;

use super::inputs;
use crate::advice::Advice;
use crate::base_image::BaseImageError;
use crate::engine::EngineError;
use crate::process::RunError;
use crate::{checkout, versions};

/// Why a bake failed. The bake has removed its containers from the engine, except one that the user wants to retain.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Checkout(#[from] checkout::Error),
    #[error(transparent)]
    Version(#[from] versions::Error),
    #[error("failed to build the add-ons {}", .addons.join(", "))]
    NoSource {
        addons: Vec<String>,
        #[source]
        source: checkout::Error,
    },
    #[error(transparent)]
    Inputs(#[from] inputs::Error),
    #[error(transparent)]
    Base(#[from] BaseImageError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("failed to build the image `{target}`")]
    Build {
        target: String,
        #[source]
        source: RunError,
    },
    /// The base of a custom image is not a baked image.
    #[error("`{image}` {what}")]
    NotBaked { image: String, what: &'static str },
    /// The base of a custom image has other settings than the user requests.
    #[error("`{image}` was baked with other settings:{}", differences_text(.different))]
    OtherSettings {
        image: String,
        /// Key, wanted value and baked value of each difference.
        different: Vec<(String, String, String)>,
    },
    /// kubeadm needs an image for which the Dockerfile has no target.
    #[error("kubeadm {version} requires the image `{image}`, which kubake does not build")]
    UnknownImage { version: String, image: String },
    /// A hook on the host failed: `hook` is moment and file.
    #[error("hook {hook} failed{}", retained_text(.retained.as_deref()))]
    Hook {
        hook: String,
        /// Name of the build container if it was kept.
        retained: Option<Box<Retained>>,
        #[source]
        source: RunError,
    },
    #[error(transparent)]
    Hooks { source: FindError },
    /// The user interrupted the check of the inputs, or the wait for another bake.
    #[error("interrupted before the bake began")]
    Interrupted,
    #[error("another bake of `{image}` does not end and holds `{}`; `fuser -v` with that path shows it", .path.display())]
    Locked { image: String, path: PathBuf },
    /// An engine command failed; `action` completes "failed to".
    #[error("failed to {action}")]
    Run {
        action: String,
        #[source]
        source: RunError,
    },
    #[error("failed to create a temporary file below `{}`; free space there or set TMPDIR", .path.display())]
    Temporary {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `kubake-init` failed in the build container; `log` is the end of its log.
    #[error("{role} failed in {phase}: {reason}{}{}", log_text(.log), retained_text(.retained.as_deref()))]
    Container {
        role: &'static str,
        phase: String,
        reason: String,
        log: Vec<String>,
        /// Name of the build container if it was kept.
        retained: Option<Box<Retained>>,
    },
}

/// A build container that was kept after a failure.
#[derive(Debug)]
pub(crate) struct Retained {
    pub(super) container: String,
    /// Command of the engine that has the container.
    pub(super) engine: &'static str,
}

/// One line for each setting that differs, each after a line break.
pub(crate) fn differences_text(different: &[(String, String, String)]) -> String {
    different.iter().map(|(key, wanted, baked)| format!("\n  {key}: wanted {wanted}, baked {baked}")).collect()
}

fn log_text(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  | {line}")).collect()
}

fn retained_text(retained: Option<&Retained>) -> String {
    retained.map_or_else(String::new, |kept| format!("\nthe build container `{}` was kept", kept.container))
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Version(error) => Some(error),
            Self::Inputs(error) => Some(error),
            Self::Base(error) => Some(error),
            Self::Engine(error) => Some(error),
            Self::Build { source, .. } | Self::Hook { source, .. } | Self::Run { source, .. } => Some(source),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Checkout(_) => Some(
                "run kubake in a checkout of its source, or name a baked image with `--image`"
                    .to_owned(),
            ),
            Self::NoSource { .. } => Some("add-ons are built from the source of kubake; run kubake in a checkout".to_owned()),
            Self::Container { retained: Some(kept), .. } => Some(format!(
                "read its log with `{engine} logs {container}`, then remove it with \
                 `{engine} rm --force --volumes {container}`",
                engine = kept.engine,
                container = kept.container,
            )),
            Self::Container { retained: None, .. } => {
                Some("keep the build container for inspection with `--retain`".to_owned())
            }
            Self::Hook { .. } => Some(
                "it runs on this host with the build container's id as its argument; `hooks/README.md` says what is there, \
                 and `--hook-timeout` gives it more time"
                    .to_owned(),
            ),
            Self::NotBaked { .. } => Some("bake an image with `kubake bake` and name it with `--from`".to_owned()),
            Self::OtherSettings { .. } => {
                Some("leave these settings out, or bake a base image with them".to_owned())
            }
            Self::Build { .. } => Some("show the whole build output with `-v`".to_owned()),
            _ => self.cause()?.hint(),
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

impl Error {
    /// Keeps the build container of a failed hook with `keep`, which returns its name, unless the user interrupted.
    pub(super) fn retained_by(mut self, keep: impl FnOnce() -> Option<Box<Retained>>) -> Self {
        if let Self::Hook { source, retained, .. } = &mut self {
            if !source.is_interrupted() {
                *retained = keep();
            }
        }
        self
    }
}

/// Wraps an engine error: `action` completes "failed to".
pub(super) fn failed_to(action: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Run { action: action.into(), source }
}
