//! The bake: from sources to the image that boots a cluster. Owns the list of steps and what each leaves in the engine:
//! the appliance image, the control plane's images, the image with a frozen store, the baked image. What happens
//! inside the build containers is `kubake-init`'s business; how a container is undone is the engine's guards'.
//!
//! Two halves and not one: the first (images) takes long and changes seldom, the second (cluster) changes with every
//! setting and hook. Each is skipped when an image with the same label of inputs exists.
//!
//! `commit` and not a Dockerfile, because a build step can be neither privileged nor long-lived enough to hold a
//! kubelet.

mod addon_build;
mod addons;
mod bootable;
mod buildkit;
mod built;
mod check;
mod cluster;
mod components;
mod container;
mod context;
mod custom;
mod engine_archive;
mod error;
mod from_source;
mod hook_secrets;
mod host_hooks;
mod image_build;
mod image_cleanup;
mod images;
mod inbox;
mod inputs;
mod listed;
mod options;
mod run;
mod step;
mod tags;
mod user_images;

pub use error::Error;
pub(crate) use error::differences_text;
pub use hook_secrets::{Error as HookSecretsError, HookSecrets};
pub use options::{Baked, Options};
pub use run::bake;
