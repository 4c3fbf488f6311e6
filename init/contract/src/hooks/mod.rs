//! Hooks: programs of the user that run at named moments of a bake or a boot. Finds them, parses how they are treated,
//! and takes their secrets; never runs one.

mod find;
mod policy;
mod secrets;

pub use find::{FindError, Hook, find, ready_script};
pub use policy::{Failure, Policy, PolicyError};
pub use secrets::{Secrets, SecretsError};
