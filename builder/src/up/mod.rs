//! A cluster's life on this machine's engine: up and down. Owns the container's options, the wait until it is ready and
//! the context in the user's kubeconfig. Never touches a container that does not carry the cluster's label.

pub mod http;
mod ports;
pub(crate) mod wait;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kubake_contract::ImageReference;
use kubake_contract::token::Token;
use kubake_contract::{ClusterSettings, endpoints, labels, names};
use serde::Serialize;
use thiserror::Error;

use crate::advice::Advice;
use crate::bake::{self, HookSecrets};
use crate::engine::command::{
    ContainerSpec, CopyInto, Create, Filter, Pull, RemoveContainer, Run, Start, VolumeList, VolumeRemove,
};
use crate::engine::{Container, ContainerGuard, Engine, Image, Input, Location, RunError};
use crate::host_context::HostContext;
use crate::kubeconfig::{self, Entries};
use crate::printer::Printer;
use crate::settings::{Cpus, DEFAULT_VALIDITY, HostPort, Key, Origin, Settings, print_validity};
use http::Server;
use wait::Show;

/// How long an answer may take that the cluster has ready.
const ANSWER: Duration = Duration::from_secs(20);

/// Why a cluster is not up, or not down.
#[derive(Debug, Error)]
pub enum Error {
    /// Host ports.
    #[error(transparent)]
    Ports(#[from] ports::Error),
    /// The image cannot be made.
    #[error(transparent)]
    Bake(#[from] bake::Error),
    /// It does not become ready.
    #[error(transparent)]
    Wait(#[from] wait::Error),
    /// The user's kubeconfig, before anything was made.
    #[error(transparent)]
    KubeconfigBefore(kubeconfig::Error),
    /// The user's kubeconfig.
    #[error("the cluster is up, but its context is not in the kubeconfig")]
    Kubeconfig(#[source] kubeconfig::Error),
    /// The user's kubeconfig when the cluster is gone.
    #[error("the cluster is gone, but its context may still be in the kubeconfig")]
    KubeconfigDown(#[source] kubeconfig::Error),
    /// The engine did not do what it was asked to.
    #[error("{doing}")]
    Run {
        /// What was to be done.
        doing: String,
        /// Why not.
        #[source]
        source: RunError,
    },
    /// Somebody else's container has the name.
    #[error("a container named `{name}` exists, and it is not a cluster of kubake's")]
    Foreign {
        /// The name.
        name: String,
    },
    /// The container is in a state that is not ours to end.
    #[error("the container `{name}` is {status}")]
    State {
        /// Its name.
        name: String,
        /// Its status.
        status: String,
    },
    /// The image is gone right after it was made.
    #[error("the image `{image}` is gone again; does another program remove images?")]
    NoImage {
        /// The image.
        image: String,
    },
    /// More processors than there are.
    #[error("{cpus} processors were asked for, and the engine's machine has {there}")]
    TooManyCpus {
        /// How many were asked for.
        cpus: Cpus,
        /// How many there are.
        there: u64,
    },
    /// The files for the container cannot be packed.
    #[error("pack the files that are handed on to the container")]
    Pack(#[source] std::io::Error),
    /// The image was baked with other settings than those that were asked for.
    #[error("`{image}` was baked with other settings:{}", bake::differences_text(.different))]
    OtherSettings {
        /// The image.
        image: String,
        /// What differs: key, wanted, baked.
        different: Vec<(String, String, String)>,
    },
    /// The engine does not say where the status port is.
    #[error("the engine does not say where port {port} of `{name}` is published")]
    NotPublished {
        /// The container.
        name: String,
        /// Its port.
        port: u16,
    },
    /// The cluster is ready and does not answer.
    #[error("fetch the kubeconfig")]
    Config(#[source] http::Error),
    /// The cluster is ready and refuses.
    #[error("fetch the kubeconfig: the cluster answers {status}: {body}")]
    ConfigStatus {
        /// HTTP status.
        status: u16,
        /// The answer.
        body: String,
    },
}

impl Advice for Error {
    fn cause(&self) -> Option<&dyn Advice> {
        match self {
            Self::Ports(error) => Some(error),
            Self::Bake(error) => Some(error),
            Self::Wait(error) => Some(error),
            Self::KubeconfigBefore(error) | Self::Kubeconfig(error) | Self::KubeconfigDown(error) => Some(error),
            Self::Run { source, .. } => Some(source),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Foreign { .. } => Some("choose another name with `--name`".to_owned()),
            Self::State { name, .. } => {
                Some(format!("`docker unpause {name}`, or remove the cluster with `kubake down`"))
            }
            Self::ConfigStatus { status: 401, .. } => Some(
                "the cluster was made with another token than this one: give that one with `--token-file` or KUBAKE_TOKEN, \
                 or begin anew with `kubake down`"
                    .to_owned(),
            ),
            Self::TooManyCpus { .. } => Some("ask for less with `--cpus`, or leave it out".to_owned()),
            Self::OtherSettings { .. } => {
                Some("`kubake bake` with the same settings makes it anew; `--image NAME` keeps both".to_owned())
            }
            _ => self.cause()?.hint(),
        }
    }
}

fn doing(what: impl Into<String>) -> impl FnOnce(RunError) -> Error {
    move |source| Error::Run { doing: what.into(), source }
}

/// How to bring a cluster up.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// Keep a container that does not become ready.
    pub retain: bool,
    /// Make the cluster's context the current one.
    pub set_context: bool,
    /// Guards the container's credentials and logs; none leaves them open to whoever reaches the port.
    pub token: Option<&'a Token>,
    /// What hooks get if there is something to bake.
    pub hook_secrets: &'a HookSecrets,
    /// What a new container is told of this machine's surroundings.
    pub host_context: &'a HostContext,
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// The container's port.
    pub container: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The host's address, where the engine says it.
    pub host_ip: Option<IpAddr>,
    /// The host's port.
    pub host: u16,
}

/// A cluster that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The container's id.
    pub container_id: String,
    /// The image it runs.
    pub image: String,
    /// Where its ports are published.
    pub ports: Vec<Port>,
    /// Where its HTTP port answers.
    pub endpoint: String,
    /// Where its API server answers; none where that is not published.
    pub server: Option<String>,
    /// The kubeconfig that has its context; none where none was to be written.
    pub kubeconfig: Option<PathBuf>,
    /// The context.
    pub context: String,
    /// Whether the context is the current one.
    pub current: bool,
    /// Milliseconds of the boot; none where it was up before.
    pub ready_after_ms: Option<u64>,
    /// Whether it was running already.
    pub already_running: bool,
}

/// Brings the cluster up: makes or pulls the image if it is missing, runs or starts the container, waits until it is
/// ready, puts its context into the kubeconfig.
///
/// # Errors
/// See [`Error`]. A container that this call made is removed, unless it is to be retained.
pub fn up(engine: &Engine, settings: &Settings, options: Options<'_>, printer: &Printer) -> Result<Cluster, Error> {
    let name = &settings.name;
    let found = engine.container(name).map_err(doing(format!("look for the container `{name}`")))?;
    let mut guard = None;
    let already_running = match &found {
        Some(container) if container.labels.get(labels::CLUSTER) != Some(name) => {
            return Err(Error::Foreign { name: name.clone() });
        }
        Some(container) if container.state.running && container.state.status != "paused" => {
            printer.line(format_args!("the cluster `{name}` is already running"));
            warn_if_other(engine, settings, container, options, printer);
            true
        }
        Some(container) if matches!(container.state.status.as_str(), "exited" | "created") => {
            warn_if_other(engine, settings, container, options, printer);
            let phase = printer.phase(format!("start the stopped cluster `{name}`"));
            engine.run(&Start { container: name.clone(), attach: false }).map_err(doing(format!("start `{name}`")))?;
            phase.done();
            false
        }
        Some(container) => return Err(Error::State { name: name.clone(), status: container.state.status.clone() }),
        None => {
            guard = Some(create(engine, settings, options, printer)?);
            false
        }
    };

    let outcome = wait_until_ready(engine, settings, options.token, already_running, printer);
    // From here on the cluster is of use, whatever happens to the kubeconfig.
    if let Some(guard) = guard {
        match &outcome {
            Err(error) if !options.retain || error.is_interrupted() => drop(guard),
            Err(_) => {
                let name = guard.keep();
                printer.line(format_args!("the container `{name}` was kept: `docker logs {name}`, then `kubake down`"));
            }
            Ok(_) => drop(guard.keep()),
        }
    }
    let (container, reached, ready_after_ms) = outcome?;
    let entries = reached.entries(name)?;
    let kubeconfig = match (&settings.kubeconfig, &reached.server) {
        (Some(path), Some(_)) => {
            kubeconfig::add(path, &entries, options.set_context).map_err(Error::Kubeconfig)?;
            Some(path.clone())
        }
        _ => None,
    };
    Ok(Cluster {
        name: name.clone(),
        container_id: container.id,
        image: container.image,
        ports: container
            .ports
            .iter()
            .map(|port| Port {
                container: port.container_port,
                protocol: port.protocol.clone(),
                host_ip: port.host_ip,
                host: port.host_port,
            })
            .collect(),
        endpoint: format!("http://{}", reached.http.address()),
        server: reached.server,
        context: name.clone(),
        current: options.set_context && kubeconfig.is_some(),
        kubeconfig,
        ready_after_ms,
        already_running,
    })
}

/// What to type when the cluster is up. Where the host has no kubectl, the node's own does.
#[must_use]
pub fn next_commands(cluster: &Cluster, settings: &Settings, host_has_kubectl: bool, has_token: bool) -> Vec<String> {
    let mut kubectl = "kubectl".to_owned();
    if let Some(path) = &cluster.kubeconfig {
        if matches!(
            settings.origin(Key::KUBECONFIG),
            Origin::Flag(_) | Origin::File { .. } | Origin::Env("KUBAKE_KUBECONFIG")
        ) {
            kubectl.push_str(&format!(" --kubeconfig {}", path.display()));
        }
    }
    if !cluster.current {
        kubectl.push_str(&format!(" --context {}", cluster.context));
    }
    let name = match settings.origin(Key::NAME) {
        Origin::Default => String::new(),
        _ => format!(" --name {}", cluster.name),
    };
    let mut commands = Vec::new();
    if !host_has_kubectl {
        commands.push(format!("docker exec {} kubectl get nodes", cluster.name));
    } else if cluster.kubeconfig.is_some() {
        commands.push(format!("{kubectl} get nodes"));
    }
    if let Some(port) = cluster.ports.iter().find(|port| port.container == kubake_contract::ports::DOCKER_TLS) {
        commands.extend(docker_commands(cluster, port, has_token));
    }
    commands.push(format!("kubake down{name}"));
    commands
}

/// How to reach the node's Docker over TLS.
fn docker_commands(cluster: &Cluster, port: &Port, has_token: bool) -> [String; 2] {
    let directory = format!("~/.docker/{}", cluster.name);
    // The variable and not the token: what is printed here ends in logs.
    let bearer = if has_token { " -H \"Authorization: Bearer $KUBAKE_TOKEN\"" } else { "" };
    let host = cluster.endpoint.trim_start_matches("http://").rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    [
        format!(
            "mkdir -p {directory} && curl -sSf{bearer} {}{} | tar -xC {directory}",
            cluster.endpoint,
            endpoints::DOCKER_CLIENT
        ),
        format!("DOCKER_HOST=tcp://{host}:{} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={directory} docker ps", port.host),
    ]
}

/// Says in what a container that exists is not what is asked for now.
fn warn_if_other(engine: &Engine, settings: &Settings, container: &Container, options: Options<'_>, printer: &Printer) {
    warn_if_replaced(engine, settings, container, printer);
    warn_if_open(settings, container, options, printer);
    warn_if_not_told(settings, container, options, printer);
}

fn warn_if_replaced(engine: &Engine, settings: &Settings, container: &Container, printer: &Printer) {
    if let Ok(Some(image)) = engine.image(&settings.image) {
        if image.id != container.image_id {
            printer.warn(format_args!("`{}` does not run the present `{}`", settings.name, settings.image));
            printer.hint("`kubake down` and `kubake up` begin anew with it");
        }
    }
}

/// A token that comes too late guards nothing, and whoever gave it believes that it does.
fn warn_if_open(settings: &Settings, container: &Container, options: Options<'_>, printer: &Printer) {
    if options.token.is_some() && !container.labels.contains_key(labels::GUARD) {
        printer.warn(format_args!("`{}` was made without a token: its credentials are open", settings.name));
        printer.hint("`kubake down` and `kubake up` begin anew with it");
    }
}

/// What a container is told at its making it is not told later, and whoever asks for it now believes that it is.
fn warn_if_not_told(settings: &Settings, container: &Container, options: Options<'_>, printer: &Printer) {
    let missing =
        untold(options.host_context.marks(settings), container.labels.get(labels::HANDED_ON).map(String::as_str));
    if !missing.is_empty() {
        let name = &settings.name;
        printer.warn(format_args!("`{name}` was made without these, or with others: {}", missing.join(", ")));
        printer.hint("they count for a new container; `kubake down` and `kubake up` begin anew with them");
    }
}

/// What is asked for now and was not, or not so, when the container got its label.
fn untold(asked: BTreeMap<String, String>, label: Option<&str>) -> Vec<String> {
    let made: BTreeMap<String, String> = label.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    asked.into_iter().filter(|(name, value)| made.get(name) != Some(value)).map(|(name, _)| name).collect()
}

fn create(
    engine: &Engine,
    settings: &Settings,
    options: Options<'_>,
    printer: &Printer,
) -> Result<ContainerGuard, Error> {
    let (name, token) = (&settings.name, options.token);
    let local = engine.facts().location == Location::Here;
    // Before a bake of an hour, and once more after it.
    if let Some(path) = settings.kubeconfig.as_ref().filter(|_| settings.ports.api != HostPort::Off) {
        kubeconfig::check(path, name).map_err(Error::KubeconfigBefore)?;
    }
    ports::choose(&settings.ports, local)?;
    let there = engine.facts().cpus;
    if let Some(cpus) = settings.container.cpus.filter(|cpus| there > 0 && !cpus.fits(there)) {
        return Err(Error::TooManyCpus { cpus, there });
    }
    let image = ensure_image(engine, settings, options, printer)?;
    compare(settings, &image.labels)?;

    let phase = printer.phase(format!("run {}", settings.image));
    let chosen = ports::choose(&settings.ports, local)?;
    let api = chosen.iter().find(|port| port.key == Key::API_PORT).and_then(|port| port.host);
    let mut env = certificates(settings);
    env.extend(options.host_context.variables());
    env.extend(capacity(settings));
    if let Some(port) = api.filter(|port| *port != kubake_contract::ports::API) {
        env.push((kubake_contract::env::API_PORT.to_owned(), port.to_string()));
    }
    if settings.ready_timeout > kubake_contract::BOOT_TIMEOUT {
        // Who waits longer than the cluster itself would, wants the cluster to go on trying, too.
        env.push((kubake_contract::env::BOOT_TIMEOUT.to_owned(), settings.ready_timeout.as_secs().to_string()));
    }
    let guard = ContainerGuard::new(engine, name);
    let mut labels = vec![(labels::CLUSTER.to_owned(), name.clone())];
    labels.extend(token.map(|_| (labels::GUARD.to_owned(), "token".to_owned())));
    let marks = options.host_context.marks(settings);
    if !marks.is_empty() {
        labels.push((labels::HANDED_ON.to_owned(), serde_json::to_string(&marks).unwrap_or_default()));
    }
    let token = token.map(|token| (kubake_contract::env::TOKEN.to_owned(), token.expose().to_owned()));
    let spec = ContainerSpec {
        name: Some(name.clone()),
        privileged: true,
        env,
        secret_env: token.into_iter().chain(options.host_context.secret_variables()).collect(),
        labels,
        network: settings.container.network.clone(),
        hostname: Some(names::CLUSTER.to_owned()),
        pull: Some("never".to_owned()),
        cpus: settings.container.cpus.map(|cpus| cpus.to_string()),
        memory: settings.container.memory.map(|memory| memory.to_string()),
        extra: chosen.iter().flat_map(|port| ["--publish".to_owned(), port.option()]).collect(),
        ..ContainerSpec::new(&settings.image)
    };
    run(engine, spec, options.host_context.pack().map_err(Error::Pack)?)
        .map_err(doing(format!("run the container `{name}`")))?;
    phase.done();
    Ok(guard)
}

/// Runs it; with files that are to be there at its first start, and at all later ones.
fn run(engine: &Engine, spec: ContainerSpec, files: Option<Vec<u8>>) -> Result<(), RunError> {
    let Some(files) = files else { return engine.run(&Run { spec, detach: true, remove: false }) };
    let container = spec.name.clone().unwrap_or_default();
    engine.run(&Create(spec))?;
    let copy = CopyInto { source: "-".into(), container: container.clone(), target: "/".to_owned(), archive: false };
    engine.run_with_input(&copy, Input::Bytes(files))?;
    engine.run(&Start { container, attach: false })
}

/// A container with limits is no larger a node than they allow: else pods would be promised what there is not.
fn capacity(settings: &Settings) -> Option<(String, String)> {
    let is_limited = settings.container.cpus.is_some() || settings.container.memory.is_some();
    is_limited.then(|| (kubake_contract::env::ENFORCE_CAPACITY.to_owned(), "on".to_owned()))
}

/// What the container is to know about the certificates that it makes at its first boot.
fn certificates(settings: &Settings) -> Vec<(String, String)> {
    let mut env = Vec::new();
    if !settings.cluster.cert_sans.is_empty() {
        env.push((kubake_contract::env::CERT_SANS.to_owned(), settings.cluster.cert_sans.join(",")));
    }
    if settings.cert_validity != DEFAULT_VALIDITY {
        env.push((kubake_contract::env::CERT_VALIDITY.to_owned(), print_validity(settings.cert_validity)));
    }
    env
}

fn ensure_image(engine: &Engine, settings: &Settings, options: Options<'_>, printer: &Printer) -> Result<Image, Error> {
    let name = &settings.image;
    let look = || engine.image(name).map_err(doing(format!("look for the image `{name}`")));
    if let Some(image) = look()? {
        return Ok(image);
    }
    if ImageReference::parse(name).is_some_and(|reference| reference.names_registry()) {
        let phase = printer.phase(format!("pull {name}"));
        engine.run(&Pull { image: name.clone(), timeout: None }).map_err(doing(format!("pull `{name}`")))?;
        phase.done();
    } else {
        printer
            .line(format_args!("there is no image `{name}` yet: baking it, which compiles Kubernetes the first time"));
        let (secrets, host_context) = (options.hook_secrets.clone(), options.host_context.clone());
        bake::bake(engine, settings, bake::Options { secrets, host_context, ..bake::Options::default() }, printer)?;
    }
    look()?.ok_or_else(|| Error::NoImage { image: name.clone() })
}

fn compare(settings: &Settings, image: &BTreeMap<String, String>) -> Result<(), Error> {
    let Some(baked) = image.get(labels::SETTINGS) else { return Ok(()) };
    let Ok(baked) = serde_json::from_str::<ClusterSettings>(baked) else { return Ok(()) };
    let mut different = settings.differences(&baked);
    different.extend(settings.missing_addons(image.get(labels::ADDONS).map_or("", String::as_str)));
    if different.is_empty() { Ok(()) } else { Err(Error::OtherSettings { image: settings.image.clone(), different }) }
}

/// How the cluster is reached from here.
struct Reached {
    http: Server,
    server: Option<String>,
    config: String,
}

impl Reached {
    fn entries(&self, name: &str) -> Result<Entries, Error> {
        Entries::from_served(&self.config, name, self.server.as_deref()).map_err(Error::Kubeconfig)
    }
}

/// Where a port of a container answers from here; none where it is not published.
pub(crate) fn reached(engine: &Engine, container: &Container, port: u16) -> Option<Server> {
    let published = container.published(port)?;
    let host = match published.host_ip {
        Some(ip) if !ip.is_unspecified() && engine.facts().location != Location::Remote => ip.to_string(),
        _ => engine.published_host(),
    };
    Some(Server::new(&host, published.host_port))
}

fn wait_until_ready(
    engine: &Engine,
    settings: &Settings,
    token: Option<&Token>,
    already_running: bool,
    printer: &Printer,
) -> Result<(Container, Reached, Option<u64>), Error> {
    let name = &settings.name;
    let started = Instant::now();
    let phase = printer.phase(if already_running { "ready" } else { "boot" });
    let look = || engine.container(name).map_err(doing(format!("look for the container `{name}`")));
    let gone = || Error::State { name: name.clone(), status: "gone".to_owned() };
    let container = look()?.ok_or_else(gone)?;
    let http = match reached(engine, &container, kubake_contract::ports::HTTP) {
        Some(server) => server,
        // A container that has ended has no ports, and its end is what there is to tell.
        None if !container.state.running => Server::new("127.0.0.1", 1),
        None => return Err(Error::NotPublished { name: name.clone(), port: kubake_contract::ports::HTTP }),
    };
    let show = if already_running { Show::Message(&phase) } else { Show::Phases(&phase) };
    let status = wait::ready(engine, name, &http, settings.ready_timeout, show)?.status;
    let answer = http.get_with(endpoints::CONFIG, token, ANSWER).map_err(Error::Config)?;
    if answer.status != 200 {
        return Err(Error::ConfigStatus { status: answer.status, body: answer.body.trim().to_owned() });
    }
    let server =
        reached(engine, &container, kubake_contract::ports::API).map(|server| format!("https://{}", server.address()));
    let measured = u64::try_from(started.elapsed().as_millis()).ok();
    let ready_after_ms =
        if already_running { None } else { status.and_then(|status| status.ready_after_ms).or(measured) };
    phase.done();
    Ok((container, Reached { http, server, config: answer.body }, ready_after_ms))
}

/// What `down` did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Down {
    /// The cluster's name.
    pub name: String,
    /// Whether there was a container.
    pub container: bool,
    /// Named volumes that were removed.
    pub volumes: Vec<String>,
    /// Whether the kubeconfig had its context.
    pub context: bool,
}

/// Removes the cluster's container with its volumes, and its context; the image stays.
///
/// # Errors
/// See [`Error`].
pub fn down(engine: &Engine, name: &str, kubeconfig: Option<&Path>, printer: &Printer) -> Result<Down, Error> {
    let found = engine.container(name).map_err(doing(format!("look for the container `{name}`")))?;
    let mut down = Down { name: name.to_owned(), container: false, volumes: Vec::new(), context: false };
    if let Some(container) = found {
        if container.labels.get(labels::CLUSTER).map(String::as_str) != Some(name) {
            return Err(Error::Foreign { name: name.to_owned() });
        }
        let phase = printer.phase(format!("remove the container `{name}`"));
        engine
            .run(&RemoveContainer { containers: vec![container.id] })
            .map_err(doing(format!("remove the container `{name}`")))?;
        phase.done();
        down.container = true;
    }
    let list = VolumeList { filters: vec![Filter::LabelIs(labels::CLUSTER.to_owned(), name.to_owned())] };
    down.volumes = engine.volumes(&list).map_err(doing("list volumes"))?;
    if !down.volumes.is_empty() {
        engine.run(&VolumeRemove { names: down.volumes.clone() }).map_err(doing("remove the cluster's volumes"))?;
    }
    if let Some(path) = kubeconfig {
        down.context = kubeconfig::remove(path, name).map_err(Error::KubeconfigDown)?;
        if down.context {
            printer.line(format_args!("removed the context `{name}` from `{}`", path.display()));
        }
    }
    if !down.container && !down.context {
        printer.line(format_args!("there is no cluster `{name}`"));
    }
    Ok(down)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::different;

    fn settings(env: &[(&str, &str)]) -> Settings {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Settings::resolve(&crate::settings::Sources { env, ..Default::default() }).unwrap()
    }

    #[test]
    fn names_in_certificates_are_the_containers_business_and_not_the_images() {
        let baked = serde_json::to_string(&ClusterSettings::default()).unwrap();
        let image = [(labels::SETTINGS.to_owned(), baked)].into();
        let wanted = settings(&[("KUBAKE_CERT_SANS", "a.example, 10.0.0.1"), ("KUBAKE_CERT_VALIDITY", "48h")]);
        compare(&wanted, &image).unwrap();
        assert!(compare(&settings(&[("KUBAKE_POD_SUBNET", "10.1.0.0/16")]), &image).is_err());
        let env = certificates(&wanted);
        let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["KUBAKE_CERT_SANS=a.example,10.0.0.1", "KUBAKE_CERT_VALIDITY=2d"]);
        assert!(certificates(&settings(&[])).is_empty());
    }

    #[test]
    fn limits_make_the_node_no_larger_than_they_are() {
        assert_eq!(capacity(&settings(&[])), None);
        for variable in [("KUBAKE_CPUS", "2"), ("KUBAKE_MEMORY", "4g")] {
            assert_eq!(capacity(&settings(&[variable])), Some(("ENFORCE_CAPACITY".to_owned(), "on".to_owned())));
        }
    }

    #[test]
    fn what_a_container_was_not_told_at_its_making_is_named() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let asked = map(&[("memory", "4g"), ("registriesFile", "0a"), ("cpus", "2")]);
        let label = serde_json::to_string(&map(&[("memory", "4g"), ("registriesFile", "0b")])).unwrap();
        assert_eq!(untold(asked.clone(), Some(&label)), ["cpus", "registriesFile"]);
        assert_eq!(untold(asked.clone(), None).len(), 3);
        assert_eq!(untold(asked.clone(), Some(&serde_json::to_string(&asked).unwrap())), [""; 0]);
        assert_eq!(untold(BTreeMap::new(), Some(&label)), [""; 0], "what is not asked for now is no matter");
    }

    #[test]
    fn only_what_was_asked_for_is_compared() {
        let baked = ClusterSettings::default();
        let wanted = ClusterSettings {
            pod_subnet: "10.1.0.0/16".parse().unwrap(),
            cert_sans: vec!["x".to_owned()],
            ..ClusterSettings::default()
        };
        let error = Error::OtherSettings {
            image: "i:1".to_owned(),
            different: different(&wanted, &baked, |key| key == Key::POD_SUBNET),
        };
        assert_eq!(
            error.to_string(),
            "`i:1` was baked with other settings:\n  podSubnet: wanted \"10.1.0.0/16\", baked \"10.244.0.0/16\""
        );
        assert_eq!(different(&wanted, &baked, |_| true).len(), 2);
        assert!(different(&wanted, &baked, |_| false).is_empty());
    }
}
