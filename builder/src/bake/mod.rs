//! The bake: makes the image that boots a cluster. Owns the steps and the images that each step leaves in the engine: the
//! appliance, the images of the control plane, the image with a frozen store, the baked image. `kubake-init` does the work
//! inside the build containers; the guards of the engine remove them.
//!
//! A bake from source has two halves. The first (images) takes long and changes seldom; the second (cluster) changes with
//! every setting and hook. A half is skipped if an image with the same inputs label exists.
//!
//! The halves use `commit` instead of a Dockerfile: a build step can be neither privileged nor live long enough for a
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
mod lock;
mod options;
mod run;
mod source_digest;
mod step;
mod tags;
mod user_images;

pub(crate) use error::Error;
pub(crate) use error::differences_text;
pub(crate) use hook_secrets::{Error as HookSecretsError, HookSecrets};
pub(crate) use options::Options;
pub(crate) use run::bake;
