//! Event lines: how `kubake-init` reports a bake to `kubake`.

use serde::{Deserialize, Serialize};

/// One line of a bake's stdout when `--events=json` is among the arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A phase began.
    PhaseStarted {
        /// Its name, such as `containerd`.
        name: String,
        /// Its place, from 1.
        index: usize,
        /// How many phases there are in all.
        count: usize,
    },
    /// A phase ended well.
    PhaseDone {
        name: String,
        /// How long it took.
        elapsed_ms: u64,
    },
    /// A phase ended the whole.
    PhaseFailed {
        name: String,
        /// How long it took.
        elapsed_ms: u64,
        /// The reason, for a person to read.
        reason: String,
    },
    /// Something worth a line under the running phase: an image that was imported, a hook's output.
    Note { text: String },
    /// Something that went wrong and does not end the bake.
    Warning {
        /// What, for a person to read.
        text: String,
    },
}
