//! Archives of images: finds out how one is packed and whether it is one at all, by walking through the whole of it once,
//! and reads it as the plain tar that `ctr images import` takes. Trusts nothing in it; never unpacks a file of it, and
//! never holds more of it in memory than a header.

mod inspect;
mod packing;
mod tape;
#[cfg(test)]
mod tests;
mod walk;
mod zstd;

pub(super) use inspect::{Fault, inspect};
pub(super) use packing::{Packing, SUFFIXES, open};
