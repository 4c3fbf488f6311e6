//! The engine: docker or podman, driven through its command line. All engine access of `kubake` goes through [`Engine`];
//! no other room writes engine arguments. Never speaks the engine's API: the CLI honours contexts, remote engines,
//! credentials and proxies as the user set them up.

mod cli;
pub(crate) mod command;
mod error;
mod facts;
mod find;
pub(crate) mod guard;
mod inspect;
mod sibling;

pub(crate) use cli::Engine;
pub(crate) use error::{ENGINE_VARIABLE, EngineError};
pub(crate) use facts::{EngineFacts, Flavour, Location};
pub(crate) use guard::{ContainerGuard, ImageGuard, TempFile};
pub(crate) use inspect::{Container, Image, Published};

#[cfg(test)]
mod tests;
