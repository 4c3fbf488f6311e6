//! Why a cluster is not up, or not down.

use thiserror::Error;

use super::ports;
use crate::advice::Advice;
use crate::bake;
use crate::host::HostError;
use crate::kubeconfig;
use crate::node::{self, http};
use crate::process::RunError;
use crate::settings::Cpus;

/// Why a cluster is not up, or not down.
#[derive(Debug, Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Ports(#[from] ports::Error),
    /// The image cannot be made.
    #[error(transparent)]
    Bake(#[from] bake::Error),
    /// It does not become ready.
    #[error(transparent)]
    Wait(#[from] node::Error),
    /// The user's kubeconfig; its own message says everything.
    #[error(transparent)]
    KubeconfigBefore(kubeconfig::Error),
    /// The user's kubeconfig.
    #[error("the cluster is up, but its context is not in the kubeconfig")]
    Kubeconfig(#[source] kubeconfig::Error),
    /// The user's kubeconfig when the cluster is gone.
    #[error("the cluster is gone, but its context may still be in the kubeconfig")]
    KubeconfigDown(#[source] kubeconfig::Error),
    /// The host did not do what it was asked to.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The engine did not do what it was asked to.
    #[error("{action}")]
    Image {
        /// What was to be done with an image.
        action: String,
        #[source]
        source: RunError,
    },
    /// Another container has the name.
    #[error("a container named `{name}` exists, and it was not created by kubake")]
    Foreign { name: String },
    /// The container is in a state that is not ours to end.
    #[error("the container `{name}` is {status}")]
    State { name: String, status: String },
    /// The image is gone right after it was made.
    #[error("the image `{image}` no longer exists; does another program remove images?")]
    NoImage { image: String },
    /// Any other image would run with all privileges and never become a cluster.
    #[error("`{image}` is not an image that kubake baked")]
    NotBaked { image: String },
    /// More processors than there are.
    #[error("the cluster is to use {cpus} processors, and the engine's machine has {there}")]
    TooManyCpus {
        /// The requested number of processors.
        cpus: Cpus,
        /// How many there are.
        there: u64,
    },
    /// The files for the container cannot be packed.
    #[error("failed to pack the files that are passed on to the container")]
    Pack(#[source] std::io::Error),
    /// The image was baked with other settings than the requested ones.
    #[error("`{image}` was baked with other settings:{}", bake::differences_text(.different))]
    OtherSettings {
        image: String,
        /// What differs: key, wanted, baked.
        different: Vec<(String, String, String)>,
    },
    /// A cluster that is there cannot become another one.
    #[error("the cluster `{name}` is there with other settings:{}", bake::differences_text(.different))]
    OtherCluster {
        name: String,
        /// What differs: key, wanted, present.
        different: Vec<(String, String, String)>,
    },
    /// The engine does not say where the status port is.
    #[error("the engine does not report where port {port} of `{name}` is published")]
    NotPublished { name: String, port: u16 },
    /// The cluster is ready and does not answer.
    #[error("failed to fetch the kubeconfig")]
    Config(#[source] http::Error),
    /// The cluster is ready and refuses.
    #[error("failed to fetch the kubeconfig: the cluster answers {status}: {body}")]
    ConfigStatus { status: u16, body: String },
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Ports(error) => Some(error),
            Self::Bake(error) => Some(error),
            Self::Wait(error) => Some(error),
            Self::KubeconfigBefore(error) | Self::Kubeconfig(error) | Self::KubeconfigDown(error) => Some(error),
            Self::Host(error) => Some(error),
            Self::Image { source, .. } => Some(source),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotBaked { .. } => {
                Some("bake one with `kubake bake -t NAME`, or leave `--image` out".to_owned())
            }
            Self::Foreign { .. } => Some("choose another name with `--name`".to_owned()),
            Self::State { name, .. } => {
                Some(format!("`docker unpause {name}`, or remove the cluster with `kubake down`"))
            }
            Self::ConfigStatus { status: 401, .. } => Some(
                "the cluster was made with another token than this one: give that one with `--token-file` or KUBAKE_TOKEN, \
                 or begin anew with `kubake down`"
                    .to_owned(),
            ),
            Self::TooManyCpus { .. } => Some("ask for less with `--cpus`, or leave it out".to_owned()),
            Self::OtherCluster { .. } => Some(
                "`kubake down` and `kubake up` begin anew with them; `--name` gives a second cluster a name of its own"
                    .to_owned(),
            ),
            Self::OtherSettings { .. } => {
                Some("`kubake bake` with the same settings bakes it again; `--image NAME` keeps both".to_owned())
            }
            _ => self.cause()?.hint(),
        }
    }
}

impl Error {
    /// Whether settings are wrong, so that nothing was changed.
    #[must_use]
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Self::Ports(error) if error.is_usage())
    }
}
