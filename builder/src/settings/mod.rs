//! What a command works with: values from flags, environment, settings file and defaults, in this precedence. Owns the
//! conversion from what was written to [`Settings`] and the complete list of what is wrong with it. Looks at no engine and
//! no cluster, and in a checkout only for the names of add-ons; a mistake is reported before anything is touched.
//!
//! Each setting is declared once, in the file of its group (`cluster`, `ports`, `container`, `bake`; those of no group in
//! `resolved`): key, flag, variables, default, help, parser and printer. The file, the command line, the environment, the
//! reference and `kubake settings` take all of it from there.

mod bake;
mod cluster;
mod container;
mod duration;
mod entry;
mod error;
mod file;
mod host_port;
mod limits;
mod name;
mod ports;
mod reference;
mod resolved;
mod resolver;
mod setting;
mod source;
mod switch;
#[cfg(test)]
mod tests;
mod yaml;

#[cfg(test)]
pub(crate) use cluster::different;
pub(crate) use duration::{DEFAULT_VALIDITY, print_validity};
pub(crate) use entry::{Entry, Origin};
pub(crate) use error::{Error, Problem};
pub(crate) use host_port::HostPort;
#[cfg(test)]
pub(crate) use host_port::Publish;
pub(crate) use limits::Cpus;
pub(crate) use ports::HostPorts;
pub(crate) use reference::reference;
pub(crate) use resolved::{Settings, declarations, flag};
pub(crate) use setting::{Declaration, Key, Shape, Subcommand, Value};
pub(crate) use source::{FILE_VARIABLE, Sources};
