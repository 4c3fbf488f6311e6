//! What the container is given and what the node needs of it: facts and refusals first ([`preflight`]), then mounts,
//! cgroups and their limits, kernel settings, device nodes and host names. Every step is a table or a pure plan applied by
//! one idempotent function that takes the root directory. Never starts a process, never touches the network.

pub mod block;
pub mod capacity;
pub mod cgroups;
pub mod devices;
pub mod hosts;
pub mod mountinfo;
pub mod mounts;
pub mod preflight;
pub mod sysctls;
