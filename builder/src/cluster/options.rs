//! How a cluster is brought up, beside the settings.

use kubake_contract::token::Token;

use crate::bake::HookSecrets;
use crate::host_context::HostContext;

/// How to bring a cluster up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options<'a> {
    /// Keep a container that does not become ready.
    pub(crate) retain: bool,
    /// Make the cluster's context the current one.
    pub(crate) set_context: bool,
    /// Guards the container's credentials and logs; without one, everyone who reaches the port can read them.
    pub(crate) token: Option<&'a Token>,
    /// What hooks get if there is something to bake.
    pub(crate) hook_secrets: &'a HookSecrets,
    /// Proxies, registries and certificate authorities of this machine, passed to a new container.
    pub(crate) host_context: &'a HostContext,
}
