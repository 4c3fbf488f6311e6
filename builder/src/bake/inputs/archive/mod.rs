//! Archives of images: detects the compression and checks the whole archive in one pass, and reads it as the plain tar that
//! `ctr images import` takes. Trusts nothing in an archive: never unpacks a file of it, and never holds more than a header
//! in memory.

mod inspect;
mod packing;
mod tape;
#[cfg(test)]
mod tests;
mod walk;
mod zstd;

pub(super) use inspect::{Fault, inspect};
pub(super) use packing::{Packing, SUFFIXES, open};
