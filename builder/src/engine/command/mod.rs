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

pub use build::{Build, Builder};
pub use container::{
    Commit, ContainerInspect, ContainerList, ContainerSize, Create, Pause, RemoveContainer, Run, Start, Stop, Unpause,
    Wait,
};
pub use container_spec::ContainerSpec;
pub use engine_command::EngineCommand;
pub use filter::Filter;
pub use image::{ImageInspect, ImageList, Import, Pull, RemoveImage, Save, Tag};
#[cfg(test)]
pub use inside::CopyFrom;
pub use inside::{CopyInto, Exec, Logs};
pub use publish::Publish;
pub use system::{ContextInspect, Info};
pub use volume::{VolumeList, VolumeRemove};
