//! Why a subcommand failed: one variant for each room that can fail, and the failures of the subcommands themselves.

use std::io;
use std::path::PathBuf;

use kubake_contract::token::TokenError;
use thiserror::Error;

use crate::advice::Advice;
use crate::install::InstallError;

/// Why a subcommand failed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Settings(#[from] crate::settings::Error),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    HookSecrets(#[from] crate::bake::HookSecretsError),
    /// A custom image would take the name of the default image.
    #[error("an image that starts from `{from}` needs a name of its own; give it one with `-t NAME`")]
    NoName {
        /// The image that it starts from.
        from: String,
    },
    /// The images of several versions would take one name.
    #[error("images of several versions cannot all have the name `{image}`; leave the setting `image` out")]
    OneName { image: String },
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Obstacles(#[from] crate::doctor::Obstacles),
    #[error(transparent)]
    Bake(#[from] crate::bake::Error),
    /// The cluster is not up, or not down.
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    #[error(transparent)]
    Bench(#[from] crate::bench::Error),
    #[error("failed to write the picture `{}`", .path.display())]
    Plot {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// `doctor` found a problem; its report was printed.
    #[error("kubake does not work on this machine yet")]
    Unhealthy,
    #[error("failed to write the result to stdout")]
    Output(#[source] io::Error),
    #[error("failed to install the signal handlers")]
    Signals(#[source] io::Error),
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Install(error) => Some(error),
            Self::Bake(error) => Some(error),
            Self::Cluster(error) => Some(error),
            Self::Bench(error) => Some(error),
            _ => None,
        }
    }
}
