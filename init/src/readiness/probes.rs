//! Asks what no watch can tell: whether components answer now. Owns the requests and the time they may take; what an
//! answer means is in `evidence`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

use super::objects::Condition;
use super::question::Question;
use crate::api::Client;
use crate::command::Run;
use crate::dns_forwarder;
use kubake_contract::ClusterSettings;
use kubake_contract::error_chain::chain;

/// A component that is well answers within milliseconds; on a machine with many clusters within a second.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// A packet to a service address that kube-proxy does not know yet is lost, and so is its connection, since the kernel
/// remembers where it was going: asking again soon, as if for the first time, is what helps.
const SHORT_PATIENCE: Duration = Duration::from_millis(100);
/// The name that every cluster's DNS knows.
const NAME: &str = "kubernetes.default.svc.cluster.local";
/// kube-proxy's health server (`healthzBindAddress`, 0.0.0.0:10256 by default).
const KUBE_PROXY: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(Ipv4Addr::LOCALHOST, 10256));
/// Its answer is a line of JSON.
const MOST_BYTES: usize = 64 << 10;

/// The components that answer, and how they are reached.
#[derive(Debug)]
pub(super) struct Probes {
    client: Client,
    service: SocketAddr,
    dns: SocketAddr,
    api: Ipv4Addr,
    /// Where packets for services are to be led now.
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

    /// Asks for the `attempt`th time in a row (from 0): patience grows, since a machine may be slow.
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
    /// (`pkg/registry/core/componentstatus`); their certificates are signed by nobody, so asking them ourselves would
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
            None => Err("its status says nothing of health".to_owned()),
        }
    }

    /// Over a connection of its own: one from before would go on even if the address led nowhere by now.
    async fn service_address(&self, patience: Duration) -> Result<(), String> {
        let there = self.client.clone().with_timeout(patience).connect_to(self.service);
        there.get_text("/version").await.map(drop).map_err(|error| chain(&error))
    }

    /// kube-proxy learns of endpoints when we do, and writes its rules a little later. Whoever connects before that gets
    /// no refusal but silence, for as long as they have patience: their packets go where the bake's pods were. No request
    /// is sent to the pods, who would wonder.
    async fn services(&self) -> Result<(), String> {
        let destinations = self.destinations.borrow().clone();
        if destinations.is_empty() {
            return Ok(());
        }
        let rules = Run::new("iptables-save").args(["-t", "nat"]).timeout(PATIENCE).capture();
        lead_to(&rules.await.map_err(|error| chain(&error))?, &destinations)
    }

    async fn dns(&self, patience: Duration) -> Result<(), String> {
        match dns_forwarder::ask(self.dns, NAME, patience).await {
            Ok(addresses) if addresses.contains(&self.api) => Ok(()),
            Ok(addresses) => Err(format!("{NAME} is {addresses:?} instead of {}", self.api)),
            Err(error) => Err(chain(&error)),
        }
    }
}

/// Whether there is a rule for each destination.
fn lead_to(rules: &str, destinations: &BTreeSet<String>) -> Result<(), String> {
    let led: BTreeSet<&str> =
        rules.lines().filter_map(|line| line.split_once("--to-destination ")?.1.split(' ').next()).collect();
    match destinations.iter().find(|destination| !led.contains(destination.as_str())) {
        None => Ok(()),
        Some(destination) => Err(format!("kube-proxy has no rule yet that leads to {destination}")),
    }
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
            // Ends first only when the connection breaks.
            ended = driver => Err(ended.err().map_or_else(|| "it hung up".to_owned(), |error| chain(&error))),
        }
    };
    match timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer from {KUBE_PROXY} within {PATIENCE:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_destination_wants_a_rule_of_its_own() {
        let rules = "# Generated\n*nat\n:KUBE-SEP-A - [0:0]\n\
            -A KUBE-SEP-A -p tcp -m comment --comment \"a/b\" -m tcp -j DNAT --to-destination 10.244.0.2:8443\n\
            -A KUBE-SEP-B -p udp -m udp -j DNAT --to-destination 10.244.0.4:53 --random\nCOMMIT\n";
        let lead = |wanted: &[&str]| lead_to(rules, &wanted.iter().map(|&one| one.to_owned()).collect());
        assert_eq!(lead(&[]), Ok(()));
        assert_eq!(lead(&["10.244.0.2:8443", "10.244.0.4:53"]), Ok(()));
        assert_eq!(
            lead(&["10.244.0.2:844"]),
            Err("kube-proxy has no rule yet that leads to 10.244.0.2:844".to_owned())
        );
    }
}
