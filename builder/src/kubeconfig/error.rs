//! Errors of a change to a kubeconfig.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::advice::Advice;

/// Why a kubeconfig was not changed. The file is as it was.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error("failed to read the kubeconfig `{}`", .path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to write the kubeconfig `{}`", .path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another program has held the lock for too long.
    #[error("failed to lock the kubeconfig: `{}` exists; another program is writing the kubeconfig, or died while it did", .path.display())]
    Locked { path: PathBuf },
    #[error("the kubeconfig `{}` is not a regular file", .path.display())]
    NoFile { path: PathBuf },
    /// The file is not valid YAML.
    #[error("failed to parse the kubeconfig `{}`", .path.display())]
    Yaml {
        path: PathBuf,
        #[source]
        source: serde_yaml::Error,
    },
    /// The file is YAML but not a kubeconfig.
    #[error("failed to parse the kubeconfig `{}`: {what}", .path.display())]
    Shape { path: PathBuf, what: String },
    /// The document that the cluster serves is not a kubeconfig.
    #[error("failed to parse the kubeconfig that the cluster serves: {0}")]
    Served(String),
    /// kubake did not create the existing entry with that name.
    #[error("`{}` already has a {kind} named `{name}` that kubake did not create", .path.display())]
    Foreign {
        path: PathBuf,
        /// `context`, `cluster` or `user`.
        kind: &'static str,
        name: String,
    },
    /// The cluster runs in another engine than the one that was searched for it.
    #[error("the cluster `{name}` runs in another engine, `{engine}`; its context stays in the kubeconfig `{}`", .path.display())]
    OtherEngine { path: PathBuf, name: String, engine: String },
}

impl Advice for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Locked { path } => {
                Some(format!("if no program is writing the kubeconfig, remove `{}`", path.display()))
            }
            Self::Foreign { .. } => {
                Some("choose another name with `--name`, or another file with `--kubeconfig`".to_owned())
            }
            Self::Yaml { path, .. } | Self::Shape { path, .. } => {
                Some(format!("repair `{}`, or use another file with `--kubeconfig`", path.display()))
            }
            Self::OtherEngine { name, engine, .. } => Some(format!(
                "`DOCKER_HOST={engine} kubake down --name {name}` removes it; if that engine is gone, \
                 `kubectl config delete-context {name}`"
            )),
            Self::NoFile { .. } => Some("name a file with `--kubeconfig` or in KUBECONFIG".to_owned()),
            _ => None,
        }
    }
}

/// An error about the tree, which does not know the file yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Shape(String),
    Foreign { kind: &'static str, name: String },
    OtherEngine { name: String, engine: String },
}

impl Wrong {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Shape(what) => Error::Shape { path: path.to_owned(), what },
            Self::Foreign { kind, name } => Error::Foreign { path: path.to_owned(), kind, name },
            Self::OtherEngine { name, engine } => Error::OtherEngine { path: path.to_owned(), name, engine },
        }
    }
}
