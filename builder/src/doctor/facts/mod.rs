//! Facts about the engine and its host: reads `/proc`, `/sys` and `/etc` below a root directory. Judges and changes nothing.
//! A fact that cannot be read is `None` or unknown, never an error.

mod disk;
mod gather;
mod host;
mod kernel;
mod procfs;

#[cfg(test)]
pub(super) use disk::Disk;
pub(super) use gather::{EngineState, Facts};
pub(super) use gather::{from_engine, gather};
pub(super) use host::Host;
pub(super) use kernel::{FEATURES, Feature, Support};
