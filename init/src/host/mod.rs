//! Prepares the container for a node: facts and refusals first ([`preflight`]), then mounts, cgroups and their limits,
//! kernel settings, device nodes and host names. Each step is a table or a pure plan that one idempotent function applies
//! below a root directory. Never starts a process, never touches the network.

pub(crate) mod capacity;
mod carry;
pub(crate) mod cgroups;
pub(crate) mod devices;
pub(crate) mod hosts_file;
pub(crate) mod limits;
pub(crate) mod managed_block;
pub(crate) mod mountinfo;
pub(crate) mod mounts;
pub(crate) mod preflight;
pub(crate) mod sysctls;
#[cfg(test)]
pub(crate) mod test_namespace;
