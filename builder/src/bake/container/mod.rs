//! One run of a build container, from creation to the committed image. `kubake-init` does the work inside.

mod build;
mod copy;
mod follower;
mod image_config;
mod recipe;

pub(super) use build::bake;
pub(super) use image_config::{RECIPE, healthcheck};
pub(super) use recipe::Recipe;
