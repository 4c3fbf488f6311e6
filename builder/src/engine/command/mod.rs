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
mod mount;
mod publish;
mod system;
mod volume;

pub use build::{Build, Builder, ProgressMode, SecretSource};
pub use container::{
    Commit, ContainerInspect, ContainerList, ContainerSize, Create, RemoveContainer, Run, Start, Stop, Wait,
};
pub use container_spec::ContainerSpec;
pub use engine_command::EngineCommand;
pub use filter::Filter;
pub use image::{ImageInspect, ImageList, Import, Pull, RemoveImage, Save, Tag};
pub use inside::{CopyFrom, CopyInto, Exec, Logs};
pub use mount::Mount;
pub use publish::Publish;
pub use system::{ContextInspect, Info, Version};
pub use volume::{VolumeList, VolumeRemove};
