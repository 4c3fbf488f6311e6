//! Questions about the engine itself.

use std::ffi::OsString;
use std::time::Duration;

use super::args::Args;
use super::engine_command::EngineCommand;

/// `info`: what the engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Info;

impl EngineCommand for Info {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["info", "--format", "{{json .}}"]).0
    }

    fn timeout(&self) -> Option<Duration> {
        // Longer than the CLI's own attempts at a remote engine, shorter than a person's patience.
        Some(Duration::from_secs(30))
    }
}

/// `context inspect`: which engine the CLI talks to, and the context's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ContextInspect;

impl EngineCommand for ContextInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["context", "inspect", "--format", "{{.Endpoints.docker.Host}} {{.Name}}"]).0
    }
}
