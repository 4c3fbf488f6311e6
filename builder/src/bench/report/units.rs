//! Formats figures with units for people.

use super::super::statistics::Summary;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    ProcessorSeconds,
    Processors,
    Bytes,
}

impl Unit {
    pub(super) fn text(self, value: f64) -> String {
        let (number, unit) = self.split(value, value);
        format!("{number} {unit}").trim_end().to_owned()
    }

    /// `6.4 s (5.5–7.8)`; for a single run only the value.
    pub(super) fn summary(self, summary: &Summary) -> String {
        let text = self.text(summary.median);
        if summary.count < 2 {
            return text;
        }
        let part = |value| self.split(value, summary.median).0;
        format!("{text} ({}–{})", part(summary.minimum), part(summary.maximum))
    }

    /// The number, and the unit that fits `like`.
    fn split(self, value: f64, like: f64) -> (String, &'static str) {
        match self {
            Self::Seconds if like < 0.1 => (format!("{:.0}", value * 1e3), "ms"),
            Self::Seconds if like < 10.0 => (format!("{value:.2}"), "s"),
            Self::Seconds => (format!("{value:.1}"), "s"),
            Self::ProcessorSeconds => (format!("{value:.2}"), "CPU-s"),
            Self::Processors => (format!("{value:.3}"), ""),
            Self::Bytes if like < 1e6 => (format!("{:.0}", value / 1e3), "kB"),
            Self::Bytes if like < 1e7 => (format!("{:.1}", value / 1e6), "MB"),
            Self::Bytes if like < 1e10 => (format!("{:.0}", value / 1e6), "MB"),
            Self::Bytes => (format!("{:.1}", value / 1e9), "GB"),
        }
    }
}

/// Bytes as a floating-point figure; exact up to 8 PB.
pub(super) struct Bytes(pub(super) u64);

impl From<Bytes> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "no machine that kubake measures has more than 8 PB")]
    fn from(bytes: Bytes) -> Self {
        bytes.0 as Self
    }
}

/// Milliseconds as seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Millis(pub(super) u64);

impl From<Millis> for f64 {
    fn from(millis: Millis) -> Self {
        std::time::Duration::from_millis(millis.0).as_secs_f64()
    }
}
