//! The container's identity: CAs, certificates, kubeconfigs, the key that signs service accounts' tokens, machine id. It is
//! made at the first boot, before any program starts that uses it, and kept as long as the container exists. No image
//! holds any of it. The bake makes an identity too, so that kubeadm checks files of this room, and removes it afterwards.
//!
//! The order is: files, the record that they are complete, etcd's slots, the record that the slots are filled. An
//! interrupted boot leaves a state from which the next boot starts again or continues. Never starts a program and never
//! uses the network.

mod asked;
pub(crate) mod certificates;
mod ensure;
mod error;
mod etcd;
mod files;
mod machine;
mod mounted;
mod names;
mod record;
mod request;
mod sec1;
pub(crate) mod slots;
mod store;
mod user_ca;

pub(crate) use asked::{Asked, serve_also_at};
pub(crate) use ensure::{NodeFacts, Outcome, ensure_at, is_made_at, make_for_bake_at, remove_at};
pub(crate) use mounted::mounted;
pub(crate) use names::{covers, own as own_names};
pub(crate) use request::Request;
