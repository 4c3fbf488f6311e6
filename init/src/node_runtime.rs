//! The part of a boot that a bake shares: host, network, image store, containerd, dockerd. One ordered list of steps
//! in the same code, so that a bake proves the boot.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ipnet::Ipv4Net;
use kubake_contract::error_chain::chain;
use kubake_contract::proxies;
use kubake_contract::status::Readiness;
use kubake_contract::{ClusterSettings, Node, env, paths, ports};
use tokio_util::sync::CancellationToken;

use crate::authorities;
use crate::boot_options::BootOptions;
use crate::host::capacity::{self, Amount};
use crate::host::{self, preflight::Facts};
use crate::identity;
use crate::net;
use crate::phases::BoxError;
use crate::services::{self, containerd, dockerd};
use crate::status::Board;
use crate::store::{self, Attached};
use crate::supervisor::{Handle, Supervisor};
use crate::{cni, dns_forwarder, docker_proxy, registries, volumes};

/// How long containerd may take until it serves. It takes 0.1 s; a slow disk or an emulated machine much longer.
const CONTAINERD_TIMEOUT: Duration = Duration::from_secs(120);
/// What the engine gave the container for look-ups.
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// The file in which the bake notes which image pods' sandboxes run.
pub(crate) const SANDBOX_IMAGE: &str = "/etc/kubake/sandbox-image";

/// What the running container stands on.
#[derive(Debug)]
pub(crate) struct NodeRuntime {
    /// The settings in force.
    pub settings: ClusterSettings,
    /// The node that this container is.
    pub node: Node,
    /// What is known about this life of the container.
    pub board: Board,
    /// Starts daemons.
    pub supervisor: Supervisor,
    /// What the host offers.
    pub facts: Facts,
    /// What whoever started the container asked for.
    pub boot_options: BootOptions,
    /// MTU towards the outside.
    pub mtu: u32,
    /// The container's own addresses; known once the network is attached.
    pub addresses: Vec<IpAddr>,
    /// The networks that it is in; likewise.
    pub networks: Vec<Ipv4Net>,
    /// What was asked of the network and is to be taken back.
    attached: Option<net::Plan>,
    /// Cancelled when side services (DNS, Docker's TCP port) shall end.
    pub shutdown: CancellationToken,
}

impl NodeRuntime {
    /// A runtime on which nothing was prepared yet.
    #[must_use]
    pub(crate) fn new(
        settings: ClusterSettings,
        board: Board,
        facts: Facts,
        boot_options: BootOptions,
        shutdown: CancellationToken,
    ) -> Self {
        let supervisor = Supervisor::new(board.clone(), PathBuf::from(paths::LOGS), PathBuf::from(paths::RUN));
        let node = Node::control_plane(&settings);
        Self {
            settings,
            node,
            board,
            supervisor,
            facts,
            boot_options,
            mtu: 1500,
            networks: Vec::new(),
            addresses: Vec::new(),
            attached: None,
            shutdown,
        }
    }

    /// Mounts, cgroups, kernel settings, devices, host names, directories.
    ///
    /// # Errors
    /// When the container cannot be made a place for Kubernetes.
    pub(crate) fn prepare_host(&self) -> Result<(), BoxError> {
        let root = Path::new("/");
        for missing in host::mounts::apply_at(root)? {
            tracing::debug!("{}", chain(&missing));
        }
        host::cgroups::apply_at(root)?;
        let sysctls = host::sysctls::apply_at(root)?;
        for change in &sysctls.changed {
            tracing::info!("{} raised from {} to {}", change.key, change.from, change.to);
        }
        for failure in &sysctls.failed {
            tracing::warn!("{}", chain(failure));
        }
        let devices = host::devices::apply_at(root);
        for failure in &devices.failed {
            tracing::warn!("{}", chain(failure));
        }
        if !devices.kmsg_readable {
            tracing::warn!("{} cannot be read: kubelet does not start without it", host::devices::KMSG);
        }
        host::hosts_file::apply_at(root, &host::hosts_file::entries(&self.node))?;
        for directory in [paths::LOGS, paths::RUN, paths::VOLUMES] {
            std::fs::create_dir_all(directory).map_err(|error| format!("cannot create {directory}: {error}"))?;
        }
        if let Err(error) = volumes::watch(Path::new(paths::VOLUMES)) {
            tracing::warn!("{}", chain(&error));
        }
        Ok(())
    }

    /// What a boot is asked for and no bake: what daemons read once, when they start.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub(crate) fn apply_boot_options(&self) -> Result<(), BoxError> {
        let root = Path::new("/");
        authorities::apply_at(root, &self.boot_options.authorities)?;
        registries::apply_at(root, &registries::Plan::new(&self.boot_options.registries))?;
        for registry in &self.boot_options.registries {
            let how = if registry.login.is_some() { "with a login" } else { "without a login" };
            tracing::info!("registry {} {how}", registry.host);
        }
        for mirror in registries::plan::unknown_to_docker(&self.boot_options.registries) {
            tracing::warn!("Docker does not use the mirror {mirror}: it takes those whose path begins with /v2 only");
        }
        Ok(())
    }

    /// The static IP, the cluster's ranges, the DNS forwarder.
    ///
    /// # Errors
    /// When the static IP is taken or the kernel refuses.
    pub(crate) async fn attach_network(&mut self, is_checked: bool) -> Result<(), BoxError> {
        let resolv_conf = std::fs::read_to_string(RESOLV_CONF).unwrap_or_default();
        let mut plan = net::Plan::new(&self.settings, &self.node);
        plan.must_reach = dns_forwarder::ResolvConf::parse(&resolv_conf)
            .nameservers
            .into_iter()
            .filter_map(|server| match server {
                IpAddr::V4(server) if !server.is_loopback() => Some(server),
                _ => None,
            })
            .collect();
        let report = net::attach(&plan, is_checked).await?;
        self.attached = Some(plan);
        for ignored in &report.ignored {
            tracing::warn!("ignored, as asked: {ignored}");
        }
        self.addresses = report.addresses.iter().copied().map(IpAddr::V4).collect();
        self.networks = report.networks;
        if let Some(proxies) = &self.boot_options.proxies {
            tracing::info!("containerd and dockerd pull images through the proxies of the environment");
            if proxies.is_on_loopback() {
                tracing::warn!(
                    "a proxy is on loopback, which is the container's own unless it runs in its host's network; one on \
                     the host is reached under another address, such as the gateway's"
                );
            }
        }
        if let Some(uplink) = report.uplink {
            self.mtu = uplink.mtu;
        }
        let for_pods = dns_forwarder::pod_resolv_conf(&resolv_conf, self.node.addresses.ipv4);
        services::write(Path::new(paths::POD_RESOLV_CONF), &for_pods)?;
        let listen = SocketAddr::from((self.node.addresses.ipv4, 53));
        let forwarder = dns_forwarder::Forwarder::bind(listen, PathBuf::from(RESOLV_CONF)).await?;
        tokio::spawn(forwarder.run(self.shutdown.clone().cancelled_owned()));
        Ok(())
    }

    /// Variables about proxies for those who pull images, and for hooks; none where the environment has none.
    #[must_use]
    pub(crate) fn proxy_variables(&self) -> Vec<(OsString, OsString)> {
        let hostname = self.place().hostname;
        let scope = proxies::ProxyScope {
            settings: &self.settings,
            node: &self.node,
            addresses: &self.addresses,
            networks: &self.networks,
            hostname: &hostname,
        };
        self.boot_options.proxies.as_ref().map(|proxies| proxies.environment(&scope)).unwrap_or_default()
    }

    /// Leaves the network as it was found, as far as [`NodeRuntime::attach_network`] changed it: it may be somebody else's,
    /// too. For the very end, when nothing of the cluster runs any more.
    pub(crate) async fn detach_network(&mut self) {
        let Some(plan) = self.attached.take() else { return };
        if let Err(error) = net::detach(&plan).await {
            tracing::warn!("the network was not left as it was found: {}", chain(&error));
        }
    }

    /// Where the container's identity is used.
    #[must_use]
    pub(crate) fn place(&self) -> identity::Place {
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        identity::Place {
            node: self.node.clone(),
            addresses: self.addresses.clone(),
            hostname: hostname.to_string_lossy().into_owned(),
            now: SystemTime::now(),
        }
    }

    /// Makes the container's keys and certificates, or sees that those it has serve on.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub(crate) async fn ensure_identity(&self, request: identity::Request) -> Result<(), BoxError> {
        let (settings, place) = (self.settings.clone(), self.place());
        let ensure = move || identity::ensure_at(Path::new("/"), &settings, &request, &place);
        // Milliseconds, in which the HTTP server answers.
        match tokio::task::spawn_blocking(ensure).await?? {
            identity::Outcome::Made => tracing::debug!("this container has an identity of its own now"),
            identity::Outcome::Kept => {}
            identity::Outcome::Renewed => tracing::info!("certificates were renewed; the CAs are the same"),
        }
        Ok(())
    }

    /// Makes the image's layers available to containerd.
    ///
    /// # Errors
    /// When the store does not fit the volume.
    pub(crate) async fn attach_store(&self) -> Result<(), BoxError> {
        let attach = || store::attach(Path::new(paths::FROZEN_STORE), Path::new(paths::CONTAINERD_ROOT));
        // Where layers must be copied this takes long; the HTTP server answers meanwhile.
        let attached = tokio::task::spawn_blocking(attach).await??;
        if attached == Attached::Copied {
            tracing::warn!("layers were copied to the volume: this first boot took longer than later ones");
        }
        Ok(())
    }

    /// What kubelet has to set aside so that the node is no larger than the container may be; nothing unless that was
    /// asked for.
    ///
    /// # Errors
    /// When the host's size cannot be told.
    pub(crate) fn reserve(&self) -> Result<Option<Amount>, BoxError> {
        if !self.boot_options.is_capacity_enforced {
            return Ok(None);
        }
        let capacity = capacity::measure_at(Path::new("/"))?;
        if capacity.limit == capacity.host {
            tracing::info!("the container has no limits: the node's capacity is its host's, {}", capacity.host);
        } else {
            tracing::info!("the node's capacity is the container's, {}, of {}", capacity.limit, capacity.host);
        }
        if capacity.limit.cpu_millis < kubake_contract::CONTROL_PLANE_CPU {
            tracing::warn!(
                "the control plane's pods alone ask for {} thousandths of a CPU and the container has {}, so not all of \
                 them can start; give it more (--cpus), or leave {} out",
                kubake_contract::CONTROL_PLANE_CPU,
                capacity.limit.cpu_millis,
                env::ENFORCE_CAPACITY
            );
        }
        Ok(Some(capacity.reserved()))
    }

    /// Starts containerd and waits until it serves.
    ///
    /// # Errors
    /// When it does not come up; with the end of its log.
    pub(crate) async fn start_containerd(&self) -> Result<Handle, BoxError> {
        let sandbox = services::read(Path::new(SANDBOX_IMAGE))?;
        let host = containerd::Host { has_sys_resource: self.facts.sys_resource };
        containerd::configure_at(Path::new("/"), sandbox.trim(), &host)?;
        services::write(Path::new(cni::paths::CONFLIST), &cni::ptp::conflist(&self.node, self.mtu))?;
        let handle = self.supervisor.start(containerd::service(self.proxy_variables()))?;
        handle.ready(CONTAINERD_TIMEOUT).await?;
        Ok(handle)
    }

    /// Starts dockerd and serves its API on TCP: with TLS where this container has an identity, and without where that
    /// is not switched off. Nobody waits for it: the board tells when it answered.
    ///
    /// # Errors
    /// When it cannot be started at all, a port is taken, or the certificates cannot be used.
    pub(crate) async fn start_dockerd(&self) -> Result<Handle, BoxError> {
        dockerd::configure_at(Path::new("/"), &registries::plan::for_dockerd(&self.boot_options.registries))?;
        let handle = self.supervisor.start(dockerd::service(self.mtu, self.proxy_variables()))?;
        let everywhere = |port| SocketAddr::from(([0, 0, 0, 0], port));
        let mut proxy = docker_proxy::Proxy::new(PathBuf::from(paths::DOCKER_SOCKET));
        match docker_proxy::acceptor_at(Path::new(paths::DOCKER_PKI))? {
            Some(acceptor) => proxy.listen_with_tls(everywhere(ports::DOCKER_TLS), acceptor).await?,
            // A bake: identities are made by each container for itself.
            None => tracing::debug!("no certificates in {}: no Docker API with TLS", paths::DOCKER_PKI),
        }
        if self.boot_options.is_docker_tcp_served {
            proxy.listen(everywhere(ports::DOCKER)).await?;
        }
        tokio::spawn(proxy.run(self.shutdown.clone().cancelled_owned()));
        tokio::spawn(follow_docker(self.board.clone(), self.shutdown.clone()));
        Ok(handle)
    }
}

/// Keeps the board told whether the Docker API answers.
async fn follow_docker(board: Board, shutdown: CancellationToken) {
    let socket = Path::new(paths::DOCKER_SOCKET);
    let mut changes = board.subscribe();
    let follow = async {
        loop {
            match docker_proxy::ping(socket, Duration::from_secs(5)).await {
                Ok(()) => board.set_docker(Readiness::from_missing(Vec::new())),
                Err(error) => {
                    let reason = format!("dockerd does not answer: {}", chain(&error));
                    board.set_docker(Readiness::missing(reason));
                }
            }
            // Asked again when dockerd's own state changes, and now and then in case it hangs.
            let component = |status: &kubake_contract::status::Status| {
                status.components.iter().find(|component| component.name == "dockerd").map(|component| component.state)
            };
            let before = component(&changes.borrow_and_update());
            let changed = changes.wait_for(|status| component(status) != before);
            if matches!(tokio::time::timeout(Duration::from_secs(10), changed).await, Ok(Err(_))) {
                return;
            }
        }
    };
    tokio::select! {
        () = follow => {}
        () = shutdown.cancelled() => {}
    }
}
