//! The protocol of a port, as settings, the engine's command line and `up --json` share it.

use serde::Serialize;

/// The protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// The protocol that an engine names `tcp` or `udp`; none for others, such as `sctp`.
    #[must_use]
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => None,
        }
    }

    /// What follows a port in the notation of engines: nothing for TCP, `/udp` for UDP.
    #[must_use]
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Tcp => "",
            Self::Udp => "/udp",
        }
    }
}
