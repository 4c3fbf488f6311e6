//! Registries that a container is told about when it starts: credentials, mirrors, CAs, exceptions from TLS. Understood
//! from variables and a file (`request`), turned into files ([`plan`]) and written where containerd, kubelet and Docker
//! look for them ([`apply`]). Never part of an image: a bake is asked for none, and what an earlier boot wrote and this
//! one does not want is taken back.

pub(crate) mod apply;
pub(crate) mod plan;

pub(crate) use apply::apply_at;
pub(crate) use plan::Plan;
