//! What a user adds to a bake: archives, layouts and lists of images, hooks. Finds and checks all of it before the long work
//! begins, and packs it for the build container. Talks to no engine.

mod archive;
mod directory;
#[cfg(test)]
mod fixtures;
mod hooks;
mod image_archive;
mod images;
mod layout;
mod list;
mod monitor;
mod packed;
mod platform;
mod problem;
mod stream;

pub(crate) use hooks::{Hooks, collect_tree, read_hooks};
pub(crate) use image_archive::Archive;
pub(crate) use images::{Images, read_images};
pub(crate) use list::Listed;
pub(crate) use monitor::Monitor;
pub(crate) use packed::{Content, Packed, digest_file, digest_packed, pack};
pub(crate) use platform::Platform;
pub(crate) use problem::{Error, Problem};
pub(crate) use stream::tar_stream;
