//! Add-ons that a bake adds to a cluster by name, each a directory of `builder/addons`. Owns the format of that directory:
//! images for the inbox, manifests that are applied before the user's, programs that become files of the node. The
//! Dockerfile says what images and programs contain.

mod definition;
mod load;
#[cfg(test)]
mod tests;

pub(super) use definition::name_of;
pub(super) use load::{Addons, load};
