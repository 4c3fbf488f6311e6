//! Asks whether components answer now, which no watch reports. Owns the requests and their time limits; `evidence`
//! judges the answers.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use kubake_contract::ClusterSettings;
use kubake_contract::error_chain::chain;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::objects::Condition;
use super::question::Question;
use super::rules::{self, ConfigMap, Mode};
use crate::api::{ApiError, Client};
use crate::command::Run;
use crate::dns_forwarder;

/// Limit on an answer: a healthy component answers within milliseconds, on a machine with many clusters within a
/// second.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// Limit on the first attempts: packets to a service address without rules yet are lost, and so is the connection,
/// since the kernel tracks its destination. A new connection soon after succeeds.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);
/// The name that every cluster's DNS resolves.
const NAME: &str = "kubernetes.default.svc.cluster.local";
/// kube-proxy's health server (`healthzBindAddress`, 0.0.0.0:10256 by default).
const KUBE_PROXY: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10256));
/// kubeadm's configuration of kube-proxy.
const KUBE_PROXY_CONFIG: &str = "/api/v1/namespaces/kube-system/configmaps/kube-proxy";
/// The kernel's table of virtual servers.
const IPVS: &str = "/proc/net/ip_vs";
/// Limit on kube-proxy's answer, a line of JSON.
const MOST_BYTES: usize = 64 << 10;

/// The components that answer, and how they are reached.
#[derive(Debug)]
pub(super) struct Probes {
    client: Client,
    service: SocketAddr,
    dns: SocketAddr,
    api: Ipv4Addr,
    /// The destinations that kube-proxy's rules must have now.
    destinations: watch::Receiver<BTreeSet<String>>,
}

impl Probes {
    pub(super) fn new(
        client: &Client,
        settings: &ClusterSettings,
        destinations: watch::Receiver<BTreeSet<String>>,
    ) -> Self {
        let api = settings.api_service_ip();
        Self {
            client: client.clone().with_timeout(PATIENCE),
            service: SocketAddr::from((api, 443)),
            dns: SocketAddr::from((settings.dns_service_ip(), 53)),
            api,
            destinations,
        }
    }

    /// Asks for the `attempt`th time in a row (from 0). The time limit grows, since a machine may be slow.
    pub(super) async fn ask(&self, question: Question, attempt: u32) -> Result<(), String> {
        let patience = SHORT_PATIENCE.saturating_mul(1 + attempt / 4).min(PATIENCE);
        match question {
            Question::Scheduler => self.component("scheduler").await,
            Question::ControllerManager => self.component("controller-manager").await,
            Question::KubeProxy => kube_proxy().await,
            Question::Services => self.services().await,
            Question::ServiceAddress => self.service_address(patience).await,
            Question::Dns => self.dns(patience).await,
        }
    }

    /// The API server asks the component's `/healthz` on 127.0.0.1 whenever its status is read
    /// (`pkg/registry/core/componentstatus`); their certificates are self-signed, so a direct request would
    /// prove no more.
    async fn component(&self, name: &str) -> Result<(), String> {
        #[derive(Deserialize)]
        struct ComponentStatus {
            #[serde(default)]
            conditions: Vec<Condition>,
        }
        let path = format!("/api/v1/componentstatuses/{name}");
        let status: ComponentStatus = self.client.get(&path).await.map_err(|error| chain(&error))?;
        match status.conditions.iter().find(|condition| condition.kind == "Healthy") {
            Some(healthy) if healthy.status == "True" => Ok(()),
            Some(healthy) => Err(healthy.message.clone()),
            None => Err("its status has no condition Healthy".to_owned()),
        }
    }

    /// Over a connection of its own: an older one would work even if the address led nowhere by now.
    async fn service_address(&self, patience: Duration) -> Result<(), String> {
        let there = self.client.clone().with_timeout(patience).connect_to(self.service);
        there.get_text("/version").await.map(drop).map_err(|error| chain(&error))
    }

    /// kube-proxy sees endpoints at the same time and writes its rules a little later. A connection before that is not
    /// refused but times out: its packets go to the addresses of the bake's pods. Reads the rules and sends nothing to
    /// the pods, which do not expect requests.
    async fn services(&self) -> Result<(), String> {
        let destinations = self.destinations.borrow().clone();
        if destinations.is_empty() {
            return Ok(());
        }
        // Asked for first, because kube-proxy's usual mode should cost nothing more.
        let rules = save("iptables-save", &["-t", "nat"]).await;
        let in_iptables = rules.and_then(|rules| rules::lead(rules::in_iptables(&rules), &destinations));
        if in_iptables.is_ok() {
            return in_iptables;
        }
        match self.mode().await? {
            Mode::Iptables => in_iptables,
            Mode::Nftables => {
                let listed = save("nft", &["list", "table", "ip", "kube-proxy"]).await?;
                rules::lead(rules::in_nftables(&listed), &destinations)
            }
            Mode::Ipvs => {
                let listed = tokio::fs::read_to_string(IPVS).await;
                let listed = listed.map_err(|error| format!("{IPVS} cannot be read: {error}"))?;
                rules::lead(rules::in_ipvs(&listed), &destinations)
            }
            Mode::Other => Ok(()),
        }
    }

    /// The mode in kube-proxy's configuration.
    async fn mode(&self) -> Result<Mode, String> {
        match self.client.get::<ConfigMap>(KUBE_PROXY_CONFIG).await {
            Ok(map) => Ok(map.data.get("config.conf").map_or(Mode::Other, |text| Mode::parse(text))),
            Err(ApiError::Status { code: StatusCode::NOT_FOUND, .. }) => Ok(Mode::Other),
            Err(error) => Err(chain(&error)),
        }
    }

    async fn dns(&self, patience: Duration) -> Result<(), String> {
        match dns_forwarder::ask(self.dns, NAME, patience).await {
            Ok(addresses) if addresses.contains(&self.api) => Ok(()),
            Ok(addresses) => Err(format!("{NAME} is {addresses:?} instead of {}", self.api)),
            Err(error) => Err(chain(&error)),
        }
    }
}

async fn save(program: &str, arguments: &[&str]) -> Result<String, String> {
    Run::new(program).args(arguments).timeout(PATIENCE).capture().await.map_err(|error| chain(&error))
}

/// Alive means that kube-proxy still writes its rules (`pkg/proxy/healthcheck`).
async fn kube_proxy() -> Result<(), String> {
    let asking = async {
        let stream = TcpStream::connect(KUBE_PROXY).await.map_err(|error| error.to_string())?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| chain(&error))?;
        let request = Request::get("/livez")
            .header(header::HOST, KUBE_PROXY.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answering = async {
            let response = sender.send_request(request).await.map_err(|error| chain(&error))?;
            let code = response.status();
            let body = Limited::new(response.into_body(), MOST_BYTES).collect().await;
            if code.is_success() {
                return Ok(());
            }
            let body = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
            Err(format!("{code} {}", body.trim()))
        };
        tokio::select! {
            answer = answering => answer,
            // Ends first only if the connection breaks.
            ended = driver => Err(ended.err().map_or_else(|| "it closed the connection".to_owned(), |error| chain(&error))),
        }
    };
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer from {KUBE_PROXY} within {PATIENCE:?}")),
    }
}
