//! Who this container is: CAs, certificates, kubeconfigs, the key of service accounts' tokens, machine id. Made at first
//! boot, before anything runs that could use them, and kept for the container's life; no image holds any of it. The bake
//! makes one, too, so that kubeadm itself looks at what is made here, and throws it away.
//!
//! Owns the order: files first, then the mark that they are complete, then etcd's slots, then the mark that those are
//! filled. Whatever is interrupted is begun anew or taken up where it was. Starts nothing, asks nobody.

pub(crate) mod certificates;
mod ensure;
mod error;
mod etcd;
mod files;
mod machine;
mod record;
mod request;
pub mod slots;
mod store;
mod user_ca;

pub use ensure::{Outcome, Place, ensure_at, is_made_at, make_for_bake_at, remove_at};
pub use error::IdentityError;
pub use request::{Request, RequestError};
