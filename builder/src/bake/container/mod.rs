//! One run of a build container and the image that it becomes. What the container does is `kubake-init`'s business.

mod build;
mod copy;
mod follower;
mod image_config;
mod recipe;

pub(super) use build::bake;
pub(super) use image_config::{RECIPE, healthcheck};
pub(super) use recipe::Recipe;
