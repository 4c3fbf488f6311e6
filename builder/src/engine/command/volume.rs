//! Volumes: list and remove.

use std::ffi::OsString;
use std::time::Duration;

use super::args::Args;
use super::engine_command::{EngineCommand, SLOW};
use super::filter::Filter;

/// `volume ls`, one name a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct VolumeList {
    pub(crate) filters: Vec<Filter>,
}

impl EngineCommand for VolumeList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["volume", "ls", "--quiet"]).filters(&self.filters).0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VolumeRemove {
    pub(crate) names: Vec<String>,
}

impl EngineCommand for VolumeRemove {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["volume", "rm"]).words(&self.names).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}
