//! The engine's command line: every command that `kubake` uses is a value that turns into arguments. Never runs anything,
//! and knows nothing of clusters.

mod args;
mod build;
mod container;
mod container_spec;
mod engine_command;
mod filter;
mod image;
mod inside;
mod publish;
mod system;
mod volume;

pub(crate) use build::{Build, Builder};
pub(crate) use container::{
    Commit, ContainerInspect, ContainerList, ContainerSize, Create, Pause, RemoveContainer, Run, Start, Stop, Unpause,
    Wait,
};
pub(crate) use container_spec::ContainerSpec;
pub(crate) use engine_command::EngineCommand;
pub(crate) use filter::Filter;
pub(crate) use image::{ImageInspect, ImageList, Import, Pull, RemoveImage, Save, Tag};
#[cfg(test)]
pub(crate) use inside::CopyFrom;
pub(crate) use inside::{CopyInto, Exec, Logs};
pub(crate) use publish::Publish;
pub(crate) use system::{ContextInspect, Info};
pub(crate) use volume::{VolumeList, VolumeRemove};
