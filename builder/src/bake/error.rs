//! Why a bake failed: every reason with what it is about, and what the user can do.

use std::io;
use std::path::PathBuf;

use kubake_contract::hooks::FindError;
use thiserror::Error;

use super::inputs;
use crate::advice::Advice;
use crate::base_image::BaseImageError;
use crate::engine::{EngineError, RunError};
use crate::{checkout, versions};

/// Why a bake failed. Nothing of it is left in the engine, unless it was to be retained.
#[derive(Debug, Error)]
pub enum Error {
    /// No sources.
    #[error(transparent)]
    Checkout(#[from] checkout::Error),
    /// Kubernetes cannot be built in this version.
    #[error(transparent)]
    Version(#[from] versions::Error),
    /// No sources for add-ons.
    #[error("build the add-ons {}", .addons.join(", "))]
    NoSource {
        /// Their names.
        addons: Vec<String>,
        /// Why not.
        #[source]
        source: checkout::Error,
    },
    /// What the user adds is not in order.
    #[error(transparent)]
    Inputs(#[from] inputs::Error),
    /// No base image.
    #[error(transparent)]
    Base(#[from] BaseImageError),
    /// The engine cannot build.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An image could not be built.
    #[error("build the image `{target}`")]
    Build {
        /// The Dockerfile's target.
        target: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// What a custom image is to be made from is no baked image.
    #[error("`{image}` {what}")]
    NotBaked {
        /// The image.
        image: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// What a custom image is to be made from was baked with other settings than those that were asked for.
    #[error("`{image}` was baked with other settings:{}", differences_text(.different))]
    OtherSettings {
        /// The image.
        image: String,
        /// What differs: key, wanted, baked.
        different: Vec<(String, String, String)>,
    },
    /// kubeadm's list of images is not what we build.
    #[error("kubeadm {version} wants the image `{image}`, which kubake does not build")]
    UnknownImage {
        /// Version of Kubernetes.
        version: String,
        /// The image.
        image: String,
    },
    /// A hook on the host failed.
    #[error("hook {hook} failed{}", retained_text(.retained.as_deref()))]
    Hook {
        /// Moment and file.
        hook: String,
        /// The build container's name, where it was kept.
        retained: Option<String>,
        /// How it went.
        #[source]
        source: RunError,
    },
    /// The hooks on the host cannot be found.
    #[error(transparent)]
    Hooks {
        /// Why.
        source: FindError,
    },
    /// The user asked to stop while files were looked through.
    #[error("interrupted while looking through what is to be baked in")]
    Interrupted,
    /// The engine did not do what it was asked to.
    #[error("failed to {action}")]
    Run {
        /// What was to be done.
        action: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A temporary file could not be made.
    #[error("make a temporary file below `{}`", .path.display())]
    Temporary {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// `kubake-init` failed in the build container.
    #[error("{role} failed in {phase}: {reason}{}{}", log_text(.log), retained_text(.retained.as_deref()))]
    Container {
        /// Which half.
        role: &'static str,
        /// The phase in which it failed.
        phase: String,
        /// What it says.
        reason: String,
        /// The end of its log.
        log: Vec<String>,
        /// The build container's name, where it was kept.
        retained: Option<String>,
    },
}

/// A line for each setting that differs.
pub(crate) fn differences_text(different: &[(String, String, String)]) -> String {
    different.iter().map(|(key, wanted, baked)| format!("\n  {key}: wanted {wanted}, baked {baked}")).collect()
}

fn log_text(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  | {line}")).collect()
}

fn retained_text(container: Option<&str>) -> String {
    container.map_or_else(String::new, |name| format!("\nthe build container `{name}` was kept"))
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
                "run kubake in a checkout of its source, or run an image that is already baked with `--image`"
                    .to_owned(),
            ),
            Self::NoSource { .. } => Some("add-ons are built from kubake's source; run kubake in a checkout of it".to_owned()),
            Self::Container { retained: Some(name), .. } => Some(format!(
                "look with `docker logs {name}`, then remove it with `docker rm --force --volumes {name}`"
            )),
            Self::Container { retained: None, .. } => {
                Some("keep the build container with `--retain` to look around in it".to_owned())
            }
            Self::Hook { .. } => Some(
                "it runs on this host with the build container's id as its argument; `hooks/README.md` says what is there, \
                 and `--hook-timeout` gives it more time"
                    .to_owned(),
            ),
            Self::NotBaked { .. } => Some("bake one with `kubake bake`, and name that with `--from`".to_owned()),
            Self::OtherSettings { .. } => {
                Some("leave these settings out, or bake an image with them to start from".to_owned())
            }
            Self::Build { .. } => Some("see the whole build with `-v`".to_owned()),
            _ => self.cause()?.hint(),
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Interrupted) || self.cause().is_some_and(Advice::is_interrupted)
    }
}

impl Error {
    /// A hook that failed may leave its container for somebody to look at.
    pub(super) fn retained_by(mut self, keep: impl FnOnce() -> Option<String>) -> Self {
        if let Self::Hook { source, retained, .. } = &mut self {
            if !source.is_interrupted() {
                *retained = keep();
            }
        }
        self
    }
}

/// Puts what was being done in front of an engine's error.
pub(super) fn failed_to(action: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Run { action: action.into(), source }
}
