//! Registries that a container gets when it starts: credentials, mirrors, CAs, exceptions from TLS. The contract parses
//! them from variables and a file, [`plan`] turns them into files, and [`apply`] writes these where containerd, kubelet and
//! Docker look for them. Never part of an image: a bake has none, and [`apply`] removes what an earlier boot wrote and this
//! one does not request.

pub(crate) mod apply;
pub(crate) mod plan;

pub(crate) use apply::apply_at;
pub(crate) use plan::Plan;
