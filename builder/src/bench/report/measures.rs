//! The measures of a run as data: key, name, unit, and the function that extracts the value.

use kubake_contract::usage::Usage;

use super::super::measured::Measured;
use super::units::{Bytes, Millis, Unit};

pub(super) struct Measure {
    /// Key in JSON; has the unit in it.
    pub(super) key: &'static str,
    /// Name in the tables.
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// Whether the comparison of images shows the ratio.
    pub(super) main: bool,
    pub(super) value: fn(&Measured) -> Option<f64>,
}

pub(super) const MEASURES: [Measure; 13] = [
    Measure {
        key: "readySeconds",
        name: "container start to ready",
        unit: Unit::Seconds,
        main: true,
        value: |run| Some(run.ready_seconds),
    },
    Measure {
        key: "readyAfterSeconds",
        name: "  by the container's clock",
        unit: Unit::Seconds,
        main: false,
        value: |run| run.ready_after_ms.map(|millis| Millis(millis).into()),
    },
    Measure {
        key: "dockerReadySeconds",
        name: "container start to Docker ready",
        unit: Unit::Seconds,
        main: false,
        value: |run| Some(run.docker_ready_seconds),
    },
    Measure {
        key: "cpuSecondsAtReady",
        name: "processor time until ready",
        unit: Unit::ProcessorSeconds,
        main: true,
        value: |run| at_ready(run).map(|usage| usage.cpu_seconds),
    },
    Measure {
        key: "memoryBytesAtReady",
        name: "memory at ready",
        unit: Unit::Bytes,
        main: true,
        value: |run| at_ready(run).map(|usage| Bytes(usage.memory_bytes).into()),
    },
    Measure {
        key: "cacheBytesAtReady",
        name: "  page cache beside it",
        unit: Unit::Bytes,
        main: false,
        value: |run| at_ready(run).map(|usage| Bytes(usage.cache_bytes).into()),
    },
    Measure {
        key: "writtenBytesAtReady",
        name: "written until ready",
        unit: Unit::Bytes,
        main: true,
        value: |run| at_ready(run).map(|usage| Bytes(usage.written_bytes).into()),
    },
    Measure {
        key: "idleCpuPerSecond",
        name: "idle: processors in use",
        unit: Unit::Processors,
        main: true,
        value: |run| run.idle.as_ref().map(|idle| idle.cpu_per_second),
    },
    Measure {
        key: "idleMemoryBytes",
        name: "idle: memory at its end",
        unit: Unit::Bytes,
        main: true,
        value: |run| run.idle.as_ref().map(|idle| Bytes(idle.usage_at_end.memory_bytes).into()),
    },
    Measure {
        key: "volumeBytes",
        name: "in volumes (du)",
        unit: Unit::Bytes,
        main: false,
        value: |run| Some(Bytes(run.volume_bytes()).into()),
    },
    Measure {
        key: "layerBytes",
        name: "in the container's layer",
        unit: Unit::Bytes,
        main: false,
        value: |run| run.layer_bytes.map(|bytes| Bytes(bytes).into()),
    },
    Measure { key: "stopSeconds", name: "stop", unit: Unit::Seconds, main: true, value: |run| Some(run.stop_seconds) },
    Measure {
        key: "restartReadySeconds",
        name: "restart to ready",
        unit: Unit::Seconds,
        main: true,
        value: |run| run.restart_ready_seconds,
    },
];

fn at_ready(run: &Measured) -> Option<&Usage> {
    run.usage_at_ready.as_ref()
}
