//! Prepares the container for a node: facts and refusals first ([`preflight`]), then mounts, cgroups and their limits,
//! kernel settings, device nodes and host names. Each step is a table or a pure plan that one idempotent function applies
//! below a root directory. Never starts a process, never touches the network.

pub mod capacity;
pub mod cgroups;
pub mod devices;
pub mod hosts_file;
pub mod managed_block;
pub mod mountinfo;
pub mod mounts;
pub mod preflight;
pub mod sysctls;
