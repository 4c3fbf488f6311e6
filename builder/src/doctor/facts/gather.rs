//! Gathers all facts about the engine and its host.

use std::path::Path;

use kubake_contract::labels;
use serde::{Deserialize, Serialize};

use super::disk::disk;
use super::host::Host;
use crate::engine::command::{ContainerList, Filter};
use crate::engine::{Engine, EngineError, EngineFacts, Location};
use crate::process::Runner;

/// Data of the system's containerd.
const CONTAINERD: &str = "/var/lib/containerd";

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
    let engine = Engine::detect(runner.clone());
    let own_ports = engine.as_ref().map(own_ports).unwrap_or_default();
    let mut facts = from_engine(engine);
    if let Some(host) = &mut facts.host {
        host.own_ports = own_ports;
    }
    facts
}

/// Gathers facts from an engine and its host.
#[must_use]
pub(in super::super) fn from_engine(engine: Result<Engine, EngineError>) -> Facts {
    match engine {
        Err(error) => Facts { engine: EngineState::Fails(error.to_string()), host: Some(Host::read(Path::new("/"))) },
        Ok(engine) => {
            let facts = engine.facts().clone();
            let host = (facts.location == Location::Here).then(|| {
                let disk = data_directories(&facts).into_iter().filter_map(|path| disk(Path::new(&path)));
                let disk = disk.min_by_key(|disk| disk.free);
                Host { disk, ..Host::read(Path::new("/")) }
            });
            Facts { engine: EngineState::Answers(Box::new(facts)), host }
        }
    }
}

/// Where an engine may keep images and containers. With containerd's store, `info` names no directory for images: it is the
/// one of the containerd that dockerd starts, or of the system's.
fn data_directories(facts: &EngineFacts) -> Vec<String> {
    let mut directories = vec![facts.root_dir.clone()];
    if facts.containerd_snapshotter && Path::new(CONTAINERD).is_dir() {
        directories.push(CONTAINERD.to_owned());
    }
    directories
}

/// Host ports of kubake's own clusters; none where the engine does not say.
fn own_ports(engine: &Engine) -> Vec<u16> {
    let list = ContainerList { all: false, filters: vec![Filter::HasLabel(labels::CLUSTER.to_owned())] };
    let clusters = engine.containers(&list).unwrap_or_default();
    let mut ports: Vec<u16> =
        clusters.iter().flat_map(|cluster| &cluster.ports).map(|published| published.host_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
