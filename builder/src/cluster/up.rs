//! Brings a cluster up: creates or starts its node, waits until it is ready, puts its context into the kubeconfig. Never
//! touches a container that does not carry the cluster's label.

use std::time::{Duration, Instant};

use kubake_contract::token::Token;
use kubake_contract::{Endpoint, labels};

use super::create::create;
use super::differences::{refuse_if_another, warn_if_other};
use super::error::Error;
use super::options::Options;
use super::ports;
use super::report::{Cluster, Port};
use crate::advice::Advice;
use crate::engine::Engine;
use crate::host::{Host, HostedNode, NodeState};
use crate::kubeconfig::{self, Entries};
use crate::node::http::Server;
use crate::node::{NodeRef, Show, wait_until_ready};
use crate::printer::Printer;
use crate::settings::{Key, Settings};

/// How long an answer may take that the cluster has ready.
const ANSWER: Duration = Duration::from_secs(20);

/// Brings the cluster up: makes or pulls the image if it is missing, runs or starts the container, waits until it is
/// ready, puts its context into the kubeconfig.
///
/// # Errors
/// See [`Error`]. A container that this call made is removed, unless it is to be retained.
pub(crate) fn up(
    engine: &Engine,
    settings: &Settings,
    options: Options<'_>,
    printer: &Printer,
) -> Result<Cluster, Error> {
    let name = &settings.name;
    let host = Host::new(engine);
    let found = host.find(name)?;
    let mut pending = None;
    let already_running = match &found {
        Some(node) if node.labels.get(labels::CLUSTER) != Some(name) => {
            return Err(Error::Foreign { name: name.clone() });
        }
        Some(node) => match &node.state {
            NodeState::Running => {
                printer.line(format_args!("the cluster `{name}` is already running"));
                refuse_if_another(engine, settings, node)?;
                warn_if_other(engine, settings, node, options, printer);
                true
            }
            NodeState::Stopped { .. } => {
                refuse_if_another(engine, settings, node)?;
                warn_if_other(engine, settings, node, options, printer);
                let phase = printer.phase(format!("start the stopped cluster `{name}`"));
                host.start(&node.id, name)?;
                phase.done();
                false
            }
            state => return Err(Error::State { name: name.clone(), status: state.word().to_owned() }),
        },
        None => {
            pending = Some(create(&host, settings, options, printer)?);
            false
        }
    };
    let id = match (&found, &pending) {
        (Some(node), _) => node.id.clone(),
        (None, Some(pending)) => pending.id().to_owned(),
        (None, None) => name.clone(),
    };

    let outcome = reach_when_ready(&host, &id, settings, options.token, already_running, printer);
    // From here on the cluster is usable, even if the kubeconfig cannot be written.
    if let Some(pending) = pending {
        match &outcome {
            Err(error) if !options.retain || error.is_interrupted() => drop(pending),
            Err(_) => {
                let name = pending.keep();
                printer.line(format_args!("the container `{name}` was kept: `docker logs {name}`, then `kubake down`"));
            }
            Ok(_) => drop(pending.keep()),
        }
    }
    let (node, reached, ready_after_ms) = outcome?;
    let entries = reached.entries(name, &engine.facts().endpoint)?;
    let kubeconfig = match (&settings.kubeconfig, &reached.server) {
        (Some(path), Some(_)) => {
            kubeconfig::add(path, &entries, options.set_context).map_err(Error::Kubeconfig)?;
            Some(path.clone())
        }
        _ => None,
    };
    let page = host
        .reach(&node, kubake_contract::ports::WEB)
        .map(|(address, port)| format!("http://{}", Server::new(&address, port).address()));
    Ok(Cluster {
        name: name.clone(),
        container_id: node.id,
        image: node.image,
        ports: node
            .ports
            .iter()
            .map(|port| Port {
                container: port.container_port,
                protocol: port.protocol,
                host_ip: port.host_ip,
                host: port.host_port,
            })
            .collect(),
        endpoint: format!("http://{}", reached.http.address()),
        page,
        server: reached.server,
        context: name.clone(),
        current: options.set_context && kubeconfig.is_some(),
        kubeconfig,
        ready_after_ms,
        already_running,
    })
}

/// How the cluster is reached from here.
struct Reached {
    http: Server,
    server: Option<String>,
    config: String,
}

impl Reached {
    fn entries(&self, name: &str, engine: &str) -> Result<Entries, Error> {
        Entries::from_served(&self.config, name, self.server.as_deref(), engine).map_err(Error::Kubeconfig)
    }
}

fn reach_when_ready(
    host: &Host,
    id: &str,
    settings: &Settings,
    token: Option<&Token>,
    already_running: bool,
    printer: &Printer,
) -> Result<(HostedNode, Reached, Option<u64>), Error> {
    let name = &settings.name;
    let started = Instant::now();
    let phase = printer.phase(if already_running { "ready" } else { "boot" });
    let gone = || Error::State { name: name.clone(), status: "gone".to_owned() };
    let node = host.find(id)?.ok_or_else(gone)?;
    if host.is_out_of_reach(&node, kubake_contract::ports::HTTP) {
        let machine = host.engine().published_host();
        return Err(ports::Error::OtherMachine { machine, settings: vec![Key::HTTP_PORT] }.into());
    }
    let http = match host.reach(&node, kubake_contract::ports::HTTP) {
        Some((address, port)) => Server::new(&address, port),
        // A container that has ended has no ports; report its end instead.
        None if node.state != NodeState::Running => Server::new("127.0.0.1", 1),
        None => return Err(Error::NotPublished { name: name.clone(), port: kubake_contract::ports::HTTP }),
    };
    let show = if already_running { Show::Message(&phase) } else { Show::Phases(&phase) };
    let status = wait_until_ready(host, &NodeRef { id, name }, &http, settings.ready_timeout, show)?.status;
    let answer = http.get_with(Endpoint::Config.path(), token, ANSWER).map_err(Error::Config)?;
    if answer.status != 200 {
        return Err(Error::ConfigStatus { status: answer.status, body: answer.body.trim().to_owned() });
    }
    let server = host
        .reach(&node, kubake_contract::ports::API)
        .map(|(address, port)| format!("https://{}", Server::new(&address, port).address()));
    let measured = u64::try_from(started.elapsed().as_millis()).ok();
    let ready_after_ms =
        if already_running { None } else { status.and_then(|status| status.ready_after_ms).or(measured) };
    phase.done();
    Ok((node, Reached { http, server, config: answer.body }, ready_after_ms))
}
