//! Runs hooks: the user's programs at named moments of a bake or a boot. `kubake_contract::hooks` finds them, reads their
//! secrets and parses the policy for failures; this room runs them and reports failures. Never decides when a moment has
//! come. The host's own hooks are `kubake`'s.

mod error;
mod run;
#[cfg(test)]
mod tests;

pub(crate) use error::HookError;
pub(crate) use run::{HookContext, run_in_order};
