//! Gathers all facts about the engine and its host.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::disk;
use super::host::Host;
use crate::engine::{Engine, EngineError, EngineFacts, Location};
use crate::process::Runner;

/// Facts about the engine, or the error that it returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EngineState {
    Answers(Box<EngineFacts>),
    Fails(String),
}

/// Everything that `doctor` judges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(crate) engine: EngineState,
    /// Facts about this host; `None` if the engine runs on another machine, so that this host does not matter.
    pub(crate) host: Option<Host>,
}

/// Gathers facts from the engine that is found, and from its host.
#[must_use]
pub(in super::super) fn gather(runner: &Runner) -> Facts {
    from_engine(Engine::detect(runner.clone()))
}

/// Gathers facts from an engine and its host.
#[must_use]
pub(in super::super) fn from_engine(engine: Result<Engine, EngineError>) -> Facts {
    match engine {
        Err(error) => Facts { engine: EngineState::Fails(error.to_string()), host: Some(Host::read(Path::new("/"))) },
        Ok(engine) => {
            let facts = engine.facts().clone();
            let host = (facts.location == Location::Here).then(|| {
                let disk = disk(Path::new(&facts.root_dir));
                Host { disk, ..Host::read(Path::new("/")) }
            });
            Facts { engine: EngineState::Answers(Box::new(facts)), host }
        }
    }
}
