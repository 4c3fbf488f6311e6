//! containerd's image store across bake and boot. Freezing moves containerd's unpacked snapshots into the baked image's
//! file system. Attaching links them from containerd's volume, so that a boot copies a few hundred kilobytes of metadata
//! and no image data. Never starts containerd and knows no image names.
//!
//! ```text
//! /kubake/store/id                 unique id of this store
//! /kubake/store/metadata/…         containerd's databases, copied at the first boot
//! /kubake/store/snapshots/N/fs     unpacked layers, never copied: /var/lib/containerd/…/snapshots/N links here
//! /kubake/store/blobs/sha256/…     manifests, and packed layers where a `docker build` may need them; linked as well
//! ```

mod attach;
mod error;
mod freeze;
mod layout;
mod marker;
mod real;
#[cfg(test)]
mod tests;
mod tree;
mod volume;

pub(crate) use attach::Attached;
pub(crate) use freeze::{find_whiteout, freeze};
pub(crate) use real::{copy_layers, is_linked};
pub(crate) use volume::Volume;
