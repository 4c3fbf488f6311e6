//! Why a subcommand failed: one variant for each room that can fail, and the failures of the subcommands themselves.

use std::io;
use std::path::PathBuf;

use kubake_contract::token::TokenError;
use thiserror::Error;

use crate::advice::Advice;
use crate::install::InstallError;

/// Why a subcommand failed.
#[derive(Debug, Error)]
pub enum Error {
    /// What was asked for makes no sense.
    #[error(transparent)]
    Settings(#[from] crate::settings::Error),
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Secrets for hooks cannot be used.
    #[error(transparent)]
    HookSecrets(#[from] crate::bake::HookSecretsError),
    /// A custom image would take the name of the image that everybody starts from.
    #[error("an image that starts from `{from}` needs a name of its own; give it one with `-t NAME`")]
    NoName {
        /// What it starts from.
        from: String,
    },
    /// Several images would take one name.
    #[error("images of several versions cannot all be called `{image}`; leave the setting `image` out")]
    OneName {
        /// The name.
        image: String,
    },
    /// There is no engine.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// The bake failed.
    #[error(transparent)]
    Bake(#[from] crate::bake::Error),
    /// The cluster is not up, or not down.
    #[error(transparent)]
    Up(#[from] crate::up::Error),
    /// Nothing was measured.
    #[error(transparent)]
    Bench(#[from] crate::bench::Error),
    /// The picture cannot be written.
    #[error("write the picture `{}`", .path.display())]
    Plot {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The doctor found something; the report says what.
    #[error("kubake does not work on this machine yet")]
    Unhealthy,
    /// The result cannot be written.
    #[error("write the result to stdout")]
    Output(#[source] io::Error),
    /// Ctrl-C cannot be caught.
    #[error("install the signal handlers")]
    Signals(#[source] io::Error),
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Settings(error) => Some(error),
            Self::Install(error) => Some(error),
            Self::Bake(error) => Some(error),
            Self::Up(error) => Some(error),
            Self::Bench(error) => Some(error),
            _ => None,
        }
    }
}
