//! Errors of a measurement.

use thiserror::Error;

use super::run_error;
use crate::advice::Advice;
use crate::node;
use crate::process::RunError;

/// Why a measurement failed.
#[derive(Debug, Error)]
pub(crate) enum Error {
    /// The port of a container would be on another machine's loopback address.
    #[error(
        "the engine is on `{machine}`, and `kubake bench` measures on this machine only; unset DOCKER_HOST or the context"
    )]
    OtherMachine { machine: String },
    /// All images that cannot be measured, each with the reason.
    #[error("nothing was measured, because these images cannot be measured:{}", lines(.0))]
    Images(Vec<String>),
    /// The engine failed to look up an image.
    #[error("failed to look up the image `{image}`")]
    Look {
        image: String,
        #[source]
        source: RunError,
    },
    #[error("run {number} of `{image}` failed")]
    Run {
        /// Counted from 1.
        number: usize,
        image: String,
        #[source]
        source: Box<run_error::Error>,
    },
    /// One of the clusters that booted in parallel failed.
    #[error("cluster {number} of {clusters} parallel clusters of `{image}` failed")]
    Parallel {
        /// Counted from 1.
        number: usize,
        clusters: usize,
        image: String,
        #[source]
        source: Box<run_error::Error>,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Images(_) | Self::OtherMachine { .. } => None,
            Self::Look { source, .. } => Some(source),
            Self::Run { source, .. } | Self::Parallel { source, .. } => Some(&**source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Images(_) => Some("bake an image with `kubake bake -t NAME`, or pull one".to_owned()),
            Self::Look { .. } | Self::OtherMachine { .. } => None,
            Self::Run { source, .. } | Self::Parallel { source, .. } if source.is_interrupted() => None,
            Self::Run { source, .. } if is_late(source) => {
                Some("give it more time with `--ready-timeout 10m`; `kubake doctor` checks this machine".to_owned())
            }
            Self::Parallel { source, .. } if is_late(source) => {
                Some("boot fewer clusters in parallel, or give them more time with `--ready-timeout 10m`".to_owned())
            }
            Self::Run { image, .. } | Self::Parallel { image, .. } => {
                Some(format!("`kubake up --name look --image {image} --retain` keeps a container for inspection"))
            }
        }
    }
}

fn is_late(error: &run_error::Error) -> bool {
    matches!(error, run_error::Error::Wait(node::Error::TimedOut { .. }) | run_error::Error::Docker { .. })
}
