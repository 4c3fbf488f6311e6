//! Everything that is judged: what the engine says and what its host offers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::disk::disk;
use super::host::Host;
use crate::engine::{Engine, EngineError, EngineFacts, Location, Runner};

/// What the engine says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EngineState {
    /// It answers.
    Answers(Box<EngineFacts>),
    /// It does not, and why.
    Fails(String),
}

/// Everything that is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The engine.
    pub engine: EngineState,
    /// What the kernel of this host says; `None` where the engine runs elsewhere, and this host does not matter.
    pub host: Option<Host>,
}

/// Asks the engine and reads the host.
#[must_use]
pub(in super::super) fn gather(runner: &Runner) -> Facts {
    of(Engine::detect(runner.clone()))
}

/// Reads the host that an engine runs on.
#[must_use]
pub(in super::super) fn of(engine: Result<Engine, EngineError>) -> Facts {
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
