//! Event lines: JSON on stdout for `kubake bake`, one line each. Prints nothing unless `--events=json` is given.

use std::io::Write;

use kubake_contract::Event;

/// Writes event lines if they are enabled.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Events {
    enabled: bool,
}

impl Events {
    #[must_use]
    pub(crate) fn new(enabled: bool) -> Self {
        Self { enabled }
    }

    /// A line under the running phase; a line of the log if events are not enabled.
    pub(crate) fn note(self, text: impl Into<String>) {
        let text = text.into();
        if self.enabled {
            self.emit(&Event::Note { text });
        } else {
            tracing::info!("{text}");
        }
    }

    /// A failure that does not end the work.
    pub(crate) fn warn(self, text: impl Into<String>) {
        let text = text.into();
        tracing::error!("{text}");
        self.emit(&Event::Warning { text });
    }

    pub(crate) fn emit(self, event: &Event) {
        if !self.enabled {
            return;
        }
        if let Ok(mut line) = serde_json::to_vec(event) {
            line.push(b'\n');
            // A closed pipe must not end a bake; its exit code still reports the outcome.
            let _ = std::io::stdout().write_all(&line);
        }
    }
}
