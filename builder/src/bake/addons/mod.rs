//! Add-ons: what a bake adds to a cluster by name, each a directory of `builder/addons`. Owns the form of such a directory
//! and what becomes of it: images for the inbox, manifests that are applied before the user's, programs that are laid over
//! the node's files. What the images and programs consist of is the Dockerfile's business.

mod definition;
mod load;
#[cfg(test)]
mod tests;

pub(super) use definition::name_of;
pub(super) use load::{Addons, load};
