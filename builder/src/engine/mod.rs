//! The engine: docker or podman, driven through its command line. All engine access of `kubake` goes through [`Engine`];
//! no other room writes engine arguments. Never speaks the engine's API: the CLI honours contexts, remote engines,
//! credentials and proxies as the user set them up.

mod cli;
pub mod command;
mod error;
mod facts;
mod find;
pub mod guard;
mod inspect;

pub use cli::Engine;
pub use error::{ENGINE_VARIABLE, EngineError};
pub use facts::{EngineFacts, Flavour, Location};
pub use guard::{ContainerGuard, ImageGuard, TempFile};
pub use inspect::{Container, Image, Published};

#[cfg(test)]
mod tests;
