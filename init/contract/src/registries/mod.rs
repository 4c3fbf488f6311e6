//! Registries for which a container gets logins, mirrors and CAs: parsed here from variables and a file. `kubake-init`
//! writes the configuration of containerd, kubelet and dockerd from them.

mod file;
mod host;
pub mod mirror;
mod registry;
pub mod request;

pub use file::text;
pub use host::DOCKER_HUB;
pub use mirror::Mirror;
pub use registry::{Login, Registry};
pub use request::{FileError, RequestError};
