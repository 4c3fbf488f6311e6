//! Takes a cluster down: its nodes with their volumes and its context; the image stays.

use std::path::Path;

use kubake_contract::labels;

use super::error::Error;
use super::report::Down;
use crate::engine::Engine;
use crate::host::Host;
use crate::kubeconfig;
use crate::printer::Printer;

/// Removes the cluster's container with its volumes, and its context; the image stays.
///
/// # Errors
/// See [`Error`].
pub(crate) fn down(engine: &Engine, name: &str, kubeconfig: Option<&Path>, printer: &Printer) -> Result<Down, Error> {
    let host = Host::new(engine);
    let mut down = Down { name: name.to_owned(), container: false, volumes: Vec::new(), context: false };
    if let Some(node) = host.find(name)? {
        if node.labels.get(labels::CLUSTER).map(String::as_str) != Some(name) {
            return Err(Error::Foreign { name: name.to_owned() });
        }
    }
    for node in host.list(name)? {
        let phase = printer.phase(format!("remove the container `{}`", node.name));
        host.remove(&node.id, &node.name)?;
        phase.done();
        down.container = true;
    }
    down.volumes = host.remove_volumes(name)?;
    if let Some(path) = kubeconfig {
        down.context = kubeconfig::remove(path, name, &engine.facts().endpoint).map_err(|error| match error {
            kubeconfig::Error::OtherEngine { .. } => Error::KubeconfigBefore(error),
            error => Error::KubeconfigDown(error),
        })?;
        if down.context {
            printer.line(format_args!("removed the context `{name}` from `{}`", path.display()));
        }
    }
    if !down.container && !down.context {
        printer.line(format_args!("there is no cluster `{name}`"));
    }
    Ok(down)
}
