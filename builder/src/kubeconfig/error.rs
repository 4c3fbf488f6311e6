//! Why a kubeconfig could not be changed.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::advice::Advice;

/// Why a kubeconfig could not be changed; the file is as it was.
#[derive(Debug, Error)]
pub enum Error {
    /// It cannot be read.
    #[error("read the kubeconfig `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// It cannot be written.
    #[error("write the kubeconfig `{}`", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// Another program has had it locked for long.
    #[error("lock the kubeconfig: `{}` exists; another program writes it, or died while it did", .path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// It is no YAML.
    #[error("understand the kubeconfig `{}`", .path.display())]
    Yaml {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: serde_yaml::Error,
    },
    /// It is YAML, but no kubeconfig.
    #[error("understand the kubeconfig `{}`: {what}", .path.display())]
    Shape {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// What the cluster served is no kubeconfig.
    #[error("understand the kubeconfig that the cluster serves: {0}")]
    Served(String),
    /// An entry of that name is somebody else's.
    #[error("`{}` already has a {kind} named `{name}` that kubake did not make", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { path } => Some(format!("if no program is writing it, remove `{}`", path.display())),
            Self::Foreign { .. } => {
                Some("choose another name with `--name`, or another file with `--kubeconfig`".to_owned())
            }
            Self::Yaml { path, .. } | Self::Shape { path, .. } => {
                Some(format!("mend `{}`, or use another file with `--kubeconfig`", path.display()))
            }
            _ => None,
        }
    }
}

/// What can go wrong with a tree, before a file is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Shape(String),
    Foreign { kind: &'static str, name: String },
}

impl Wrong {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Shape(what) => Error::Shape { path: path.to_owned(), what },
            Self::Foreign { kind, name } => Error::Foreign { path: path.to_owned(), kind, name },
        }
    }
}
