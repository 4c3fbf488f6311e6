//! Why there are no figures.

use thiserror::Error;

use super::run;
use crate::advice::Advice;
use crate::engine::RunError;
use crate::up::wait;

/// Why there are no figures.
#[derive(Debug, Error)]
pub enum Error {
    /// Images that cannot be measured: all of them.
    #[error("nothing was measured, because not every image can be:{}", lines(.0))]
    Images(Vec<String>),
    /// The engine does not tell about an image.
    #[error("look for the image `{image}`")]
    Look {
        /// The image.
        image: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// A run failed.
    #[error("run {number} of `{image}`")]
    Run {
        /// Which, from 1.
        number: usize,
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: Box<run::Error>,
    },
    /// Of clusters that booted at once, one failed.
    #[error("cluster {number} of {clusters} of `{image}` at once")]
    Parallel {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        clusters: usize,
        /// The image.
        image: String,
        /// Why.
        #[source]
        source: Box<run::Error>,
    },
}

fn lines(problems: &[String]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Images(_) => None,
            Self::Look { source, .. } => Some(source),
            Self::Run { source, .. } | Self::Parallel { source, .. } => Some(&**source),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Images(_) => Some("`kubake bake -t NAME` bakes one, `docker pull NAME` fetches one".to_owned()),
            Self::Look { .. } => None,
            Self::Run { source, .. } | Self::Parallel { source, .. } if source.is_interrupted() => None,
            Self::Run { source, .. } if is_late(source) => {
                Some("give it more time with `--ready-timeout 10m`; `kubake doctor` looks at this machine".to_owned())
            }
            Self::Parallel { source, .. } if is_late(source) => {
                Some("boot fewer at once, or give them more time with `--ready-timeout 10m`".to_owned())
            }
            Self::Run { image, .. } | Self::Parallel { image, .. } => {
                Some(format!("`kubake up --name look --image {image} --retain` keeps a container to look into"))
            }
        }
    }
}

fn is_late(error: &run::Error) -> bool {
    matches!(error, run::Error::Wait(wait::Error::TimedOut { .. }) | run::Error::Docker { .. })
}
