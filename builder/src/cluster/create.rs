//! The options of a new cluster's container: ports, variables, labels and limits.

use std::net::IpAddr;

use kubake_contract::{is_certificate_name, labels, names};

use super::differences::container_marks;
use super::error::Error;
use super::image::{compare, ensure_image};
use super::options::Options;
use super::ports::{self, Chosen};
use super::reachable::reachable;
use crate::engine::Location;
use crate::engine::command::ContainerSpec;
use crate::host::{Host, PendingNode};
use crate::kubeconfig;
use crate::printer::Printer;
use crate::settings::{DEFAULT_VALIDITY, HostPort, Key, Settings, print_validity};

pub(super) fn create(
    host: &Host,
    settings: &Settings,
    options: Options<'_>,
    printer: &Printer,
) -> Result<PendingNode, Error> {
    let engine = host.engine();
    let (name, token) = (&settings.name, options.token);
    let local = engine.facts().location == Location::Here && engine.facts().own_gateway.is_none();
    // Before a bake of an hour, and once more after it.
    if let Some(path) = settings.kubeconfig.as_ref().filter(|_| settings.ports.api != HostPort::Off) {
        kubeconfig::check(path, name).map_err(Error::KubeconfigBefore)?;
    }
    let machine = engine.published_host();
    let is_in_host_network = settings.container.network.as_deref() == Some("host");
    let wanted = if is_in_host_network {
        ports::of_host_network(settings)?
    } else {
        reachable(&ports::of_settings(settings, local), engine.facts(), &machine)?
    };
    ports::choose(&wanted, local)?;
    let there = engine.facts().cpus;
    if let Some(cpus) = settings.container.cpus.filter(|cpus| there > 0 && !cpus.fits(there)) {
        return Err(Error::TooManyCpus { cpus, there });
    }
    let image = ensure_image(engine, settings, options, printer)?;
    compare(settings, &image.labels)?;

    let phase = printer.phase(format!("run {}", settings.image));
    let chosen = ports::choose(&wanted, local)?;
    // The setting is the explicit wish for which a node with a token waits.
    let has_open_docker = token.is_some() && !is_in_host_network && settings.ports.docker != HostPort::Off;
    let api = chosen.iter().find(|port| port.key == Key::API_PORT).and_then(|port| port.host);
    let mut env = certificates(settings, &machine);
    env.extend(options.host_context.variables());
    env.extend(capacity(settings));
    if let Some(port) = api.filter(|port| *port != kubake_contract::ports::API) {
        env.push((kubake_contract::env::API_PORT.to_owned(), port.to_string()));
    }
    if settings.ready_timeout > kubake_contract::BOOT_TIMEOUT {
        // A longer wait than the cluster's own bound has to lengthen that bound, too.
        env.push((kubake_contract::env::BOOT_TIMEOUT.to_owned(), settings.ready_timeout.as_secs().to_string()));
    }
    if has_open_docker {
        env.push((kubake_contract::env::DOCKER_TCP.to_owned(), "on".to_owned()));
    }
    let node = host.pending(name);
    let mut labels = vec![(labels::CLUSTER.to_owned(), name.clone())];
    labels.extend(token.map(|_| (labels::GUARD.to_owned(), "token".to_owned())));
    let mut marks = options.host_context.marks(settings);
    marks.extend(container_marks(settings));
    if !marks.is_empty() {
        labels.push((labels::HOST_CONTEXT.to_owned(), serde_json::to_string(&marks).unwrap_or_default()));
    }
    let token = token.map(|token| (kubake_contract::env::TOKEN.to_owned(), token.expose().to_owned()));
    let spec = ContainerSpec {
        privileged: true,
        env,
        secret_env: token.into_iter().chain(options.host_context.secret_variables()).collect(),
        labels,
        network: settings.container.network.clone(),
        hostname: Some(names::CONTROL_PLANE.to_string()),
        pull: Some("never".to_owned()),
        cpus: settings.container.cpus.map(|cpus| cpus.to_string()),
        memory: settings.container.memory.map(|memory| memory.to_string()),
        ports: if is_in_host_network { Vec::new() } else { chosen.iter().map(Chosen::publish).collect() },
        ..ContainerSpec::new(&settings.image)
    };
    host.create(&node, spec, options.host_context.pack().map_err(Error::Pack)?)?;
    phase.done();
    Ok(node)
}

/// A container with limits is no larger a node than they allow: else pods would be promised what there is not.
fn capacity(settings: &Settings) -> Option<(String, String)> {
    let is_limited = settings.container.cpus.is_some() || settings.container.memory.is_some();
    is_limited.then(|| (kubake_contract::env::ENFORCE_CAPACITY.to_owned(), "on".to_owned()))
}

/// What the container is to know about the certificates that it makes at its first boot. `host` is where its ports are
/// reached: a node serves credentials only under names that it knows.
pub(super) fn certificates(settings: &Settings, host: &str) -> Vec<(String, String)> {
    let mut env = Vec::new();
    let mut names = settings.cluster.cert_sans.clone();
    let is_foreign_name = host.contains('.') && host.parse::<IpAddr>().is_err() && is_certificate_name(host);
    if is_foreign_name && !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    if !names.is_empty() {
        env.push((kubake_contract::env::CERT_SANS.to_owned(), names.join(",")));
    }
    if settings.cert_validity != DEFAULT_VALIDITY {
        env.push((kubake_contract::env::CERT_VALIDITY.to_owned(), print_validity(settings.cert_validity)));
    }
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::fixtures::settings;

    #[test]
    fn a_node_of_a_remote_engine_knows_the_name_by_which_it_is_reached() {
        let sans = |variables: &[(&str, &str)], host: &str| certificates(&settings(variables), host).pop();
        for known in ["127.0.0.1", "::1", "localhost", "docker"] {
            assert_eq!(sans(&[], known), None, "{known}");
        }
        let expected = |value: &str| Some((kubake_contract::env::CERT_SANS.to_owned(), value.to_owned()));
        assert_eq!(sans(&[], "docker.ci.example"), expected("docker.ci.example"));
        let variable = ("KUBAKE_CERT_SANS", "mine.example");
        assert_eq!(sans(&[variable], "docker.ci.example"), expected("mine.example,docker.ci.example"));
        assert_eq!(sans(&[variable], "mine.example"), expected("mine.example"));
    }

    #[test]
    fn limits_make_the_node_no_larger_than_they_are() {
        assert_eq!(capacity(&settings(&[])), None);
        for variable in [("KUBAKE_CPUS", "2"), ("KUBAKE_MEMORY", "4g")] {
            assert_eq!(capacity(&settings(&[variable])), Some(("ENFORCE_CAPACITY".to_owned(), "on".to_owned())));
        }
    }
}
