//! The user's kubeconfig: puts a cluster's context in and takes exactly that out again. Owns the file's lock and its
//! atomic replacement. Never touches an entry that `kubake` did not make, and works on the YAML tree, so that keys it
//! does not know stay; a file that cannot be understood stays as it is.
//!
//! Entries of ours carry an extension named [`MARK`] (kubeconfig's own way for tools to leave notes), which also
//! remembers which context was current before, so that removing the cluster gives that back.

mod entries;
mod error;
mod file;
mod lock;
mod merge;
#[cfg(test)]
mod tests;

pub use entries::Entries;
pub use error::Error;
pub use file::{add, check, remove};
pub use merge::MARK;
