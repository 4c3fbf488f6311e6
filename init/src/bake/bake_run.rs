//! What the phases of a bake share, and the work that begins every bake.

use std::path::Path;
use std::time::{Duration, SystemTime};

use kubake_contract::error_chain::chain;
use kubake_contract::hooks::{self, Failure, Secrets};
use kubake_contract::paths;
use kubake_contract::proxies::Proxies;
use tokio::time::Instant;

use super::inbox::request;
use crate::authorities;
use crate::boot::start_kubelet;
use crate::events::Events;
use crate::hooks::{HookContext, run_in_order};
use crate::host;
use crate::identity;
use crate::node_runtime::NodeRuntime;
use crate::phases::{self, BoxError, Phase, PhaseError};
use crate::status::Board;
use crate::supervisor::Handle;

/// Time limit for dockerd's readiness, which hooks wait for because they may build and load images.
const DOCKERD_TIMEOUT: Duration = Duration::from_secs(120);

/// A bake in its build container.
#[derive(Debug)]
pub(crate) struct Bake {
    pub(super) runtime: NodeRuntime,
    pub(super) events: Events,
    pub(super) begun: (Instant, SystemTime),
    pub(super) containerd: Option<Handle>,
    pub(super) dockerd: Option<Handle>,
    pub(super) kubelet: Option<Handle>,
    secrets: Secrets,
    hook_timeout: Duration,
    hook_failure: Failure,
}

impl Bake {
    #[must_use]
    pub(crate) fn new(runtime: NodeRuntime, events: Events) -> Self {
        Self {
            runtime,
            events,
            begun: (Instant::now(), SystemTime::now()),
            containerd: None,
            dockerd: None,
            kubelet: None,
            secrets: Secrets::default(),
            hook_timeout: Duration::ZERO,
            hook_failure: Failure::Fail,
        }
    }

    /// Runs one of the bake's plans to its end.
    ///
    /// # Errors
    /// When a phase fails; the container is then useless.
    pub(crate) async fn run(&mut self, plan: &[Phase<Self>]) -> Result<(), PhaseError> {
        let (board, events) = (self.runtime.board.clone(), self.events);
        phases::run_all(plan, self, &board, events).await
    }

    pub(super) fn prepare_host(&mut self) -> Result<(), BoxError> {
        // First, so that the secrets' files exist only until this program starts.
        self.secrets = Secrets::take(Path::new(paths::INBOX_SECRETS))?;
        let variables = Secrets::take(Path::new(paths::INBOX_PROXIES))?;
        let proxies = Proxies::from_variables(|name| variables.get(name).map(str::to_owned));
        self.runtime.boot_options.proxies =
            proxies.map_err(|errors| errors.iter().map(|error| chain(error)).collect::<Vec<_>>().join("; "))?;
        self.prepare_bare_host()?;
        let request = request()?;
        // Before the daemons start: they read the CAs once.
        authorities::apply_at(Path::new("/"), &request.authorities)?;
        self.hook_timeout = Duration::from_secs(request.hook_timeout_seconds);
        self.hook_failure = if request.reports_failed_hooks { Failure::Report } else { Failure::Fail };
        Ok(())
    }

    /// Prepares the host for a bake without requests of the user.
    pub(super) fn prepare_bare_host(&self) -> Result<(), BoxError> {
        host::mounts::apply_for_bake_at(Path::new("/"))?;
        self.runtime.prepare_host()
    }

    pub(super) async fn ensure_identity(&self) -> Result<(), BoxError> {
        self.runtime.ensure_identity(identity::Request::default()).await
    }

    pub(super) async fn start_containerd(&mut self) -> Result<(), BoxError> {
        self.containerd = Some(self.runtime.start_containerd().await?);
        Ok(())
    }

    pub(super) async fn start_dockerd(&mut self) -> Result<(), BoxError> {
        let dockerd = self.dockerd.insert(self.runtime.start_dockerd().await?);
        Ok(dockerd.ready(DOCKERD_TIMEOUT).await?)
    }

    pub(super) fn start_kubelet(&mut self) -> Result<(), BoxError> {
        self.kubelet = Some(start_kubelet(&self.runtime)?);
        Ok(())
    }

    /// Runs the hooks of a moment.
    pub(super) async fn run_hooks(&mut self, moment: &'static str) -> Result<(), BoxError> {
        let context = HookContext {
            moment,
            settings: &self.runtime.settings,
            node: &self.runtime.node,
            secrets: &self.secrets,
            proxies: self.runtime.proxy_variables(),
            timeout: self.hook_timeout,
            timeout_setting: "--hook-timeout",
        };
        let found = hooks::find(Path::new(paths::INBOX_HOOKS), moment)?;
        // A board of its own: no caller reads that of a build container, `kubake` reads events.
        Ok(run_in_order(&found, &context, self.hook_failure, &Board::new(), self.events).await?)
    }
}
