//! The user's kubeconfig: adds the context of a cluster and removes exactly that again. Owns the lock and the atomic
//! replacement of the file. Never changes an entry that `kubake` did not create. Works on the YAML tree, so that unknown
//! keys stay; a file that cannot be parsed stays as it is.
//!
//! Entries of kubake have an extension named [`MARK`] (the place in a kubeconfig for notes of tools). The extension also
//! records the previous current context, which the removal of the cluster restores.

mod entries;
mod error;
mod file;
mod lock;
mod merge;
mod replace;
#[cfg(test)]
mod tests;
mod yaml;

pub(crate) use entries::Entries;
pub(crate) use error::Error;
pub(crate) use file::{add, check, remove};
