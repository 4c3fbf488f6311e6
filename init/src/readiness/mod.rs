//! Collects the evidence that the cluster works in this boot and keeps the board told, for as long as it runs: follows
//! lease, node and pods by watch, asks the API server and the cluster's DNS. Decides nothing itself (see `evidence`).

mod evidence;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::api::{ApiError, Client};
use crate::contract::{ClusterSettings, names};
use crate::dns_forwarder;
use crate::status::{Board, Readiness};
use evidence::{Evidence, Lease, Metadata, Node, Pod};

/// How often the API server is asked again once it is ready.
const API_INTERVAL: Duration = Duration::from_secs(5);
/// How often DNS is asked again once it answered.
const DNS_INTERVAL: Duration = Duration::from_secs(10);
/// A watch that is silent for longer is begun anew: the API server sends bookmarks about once a minute.
const WATCH_IDLE: Duration = Duration::from_secs(150);

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/pods";

/// One thing that was learned.
enum News {
    Api(Result<(), String>),
    Lease(Lease),
    Node(Node),
    PodsListed(Vec<Pod>),
    Pod(Box<Pod>),
    PodGone(Metadata),
    Dns(Result<(), String>),
}

/// Follows the cluster until the future is dropped. `boot` is when this boot began.
pub async fn follow(client: Client, settings: &ClusterSettings, boot: SystemTime, board: &Board) {
    let (sender, mut news) = mpsc::channel(64);
    let (ask_dns, dns_wanted) = tokio::sync::watch::channel(false);
    let dns_server = SocketAddr::from((settings.dns_service_ip(), 53));
    let expected = settings.api_service_ip();
    let node = format!("{NODES}?fieldSelector=metadata.name={}", names::CLUSTER);
    let lease = format!("{LEASE}?fieldSelector=metadata.name={}", names::CLUSTER);

    let collect = async {
        tokio::join!(
            ask_api(&client, &sender),
            follow_list::<Lease, _>(&client, &lease, &sender, |item| Some(News::Lease(item)), |_| None),
            follow_list::<Node, _>(&client, &node, &sender, |item| Some(News::Node(item)), |_| None),
            follow_pods(&client, &sender),
            ask_dns_server(dns_server, expected, dns_wanted, &sender),
        )
    };
    let judge = async {
        let mut evidence = Evidence::new(boot);
        while let Some(item) = news.recv().await {
            learn(&mut evidence, item);
            ask_dns.send_if_modified(|wanted| {
                let now = evidence.missing_before_dns().is_empty();
                let changed = *wanted != now;
                *wanted = now;
                changed
            });
            if !*ask_dns.borrow() {
                // An answer from before the gap proves nothing after it.
                evidence.dns = None;
            }
            if board.set_kubernetes(Readiness::from_missing(evidence.missing())) {
                tracing::info!("Kubernetes ready after {:.1} s", board.uptime().as_secs_f64());
            }
        }
    };
    tokio::join!(collect, judge);
}

fn learn(evidence: &mut Evidence, news: News) {
    let key = |metadata: &Metadata| (metadata.namespace.clone(), metadata.name.clone());
    match news {
        News::Api(answer) => evidence.api = Some(answer),
        News::Lease(lease) => evidence.lease = Some(lease),
        News::Node(node) => evidence.node = Some(node),
        News::PodsListed(pods) => {
            evidence.pods = Some(pods.into_iter().map(|pod| (key(&pod.metadata), pod)).collect::<BTreeMap<_, _>>());
        }
        News::Pod(pod) => {
            evidence.pods.get_or_insert_default().insert(key(&pod.metadata), *pod);
        }
        News::PodGone(metadata) => {
            evidence.pods.get_or_insert_default().remove(&key(&metadata));
        }
        News::Dns(answer) => evidence.dns = Some(answer),
    }
}

async fn ask_api(client: &Client, sender: &mpsc::Sender<News>) {
    let mut retry = Retry::new();
    loop {
        let answer = match client.get_text("/readyz").await {
            Ok(_) => Ok(()),
            Err(error) => Err(crate::phases::chain(&error)),
        };
        let wait = if answer.is_ok() { retry.reset_to(API_INTERVAL) } else { retry.next() };
        if sender.send(News::Api(answer)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn ask_dns_server(
    server: SocketAddr,
    expected: std::net::Ipv4Addr,
    mut wanted: tokio::sync::watch::Receiver<bool>,
    sender: &mpsc::Sender<News>,
) {
    let mut retry = Retry::new();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let name = "kubernetes.default.svc.cluster.local";
        let answer = match dns_forwarder::ask(server, name, Duration::from_millis(500)).await {
            Ok(addresses) if addresses.contains(&expected) => Ok(()),
            Ok(addresses) => Err(format!("{name} is {addresses:?} instead of {expected}")),
            Err(error) => Err(crate::phases::chain(&error)),
        };
        let wait = if answer.is_ok() { retry.reset_to(DNS_INTERVAL) } else { retry.next() };
        if sender.send(News::Dns(answer)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// A list as the API gives it.
#[derive(Debug, Deserialize)]
struct List<T> {
    metadata: Metadata,
    items: Vec<T>,
}

async fn follow_pods(client: &Client, sender: &mpsc::Sender<News>) {
    let mut retry = Retry::new();
    loop {
        if let Ok(list) = client.get::<List<Pod>>(PODS).await {
            let version = list.metadata.resource_version;
            if sender.send(News::PodsListed(list.items)).await.is_err() {
                return;
            }
            retry.reset();
            let path = watch_path(PODS, &version);
            let changed = |pod: Pod| Some(News::Pod(Box::new(pod)));
            let gone = |pod: Pod| Some(News::PodGone(pod.metadata));
            if follow_watch(client, &path, sender, changed, gone).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(retry.next()).await;
    }
}

/// Lists, then watches, for ever; begins anew whenever either ends.
async fn follow_list<T, F>(
    client: &Client,
    path: &str,
    sender: &mpsc::Sender<News>,
    changed: F,
    gone: impl Fn(T) -> Option<News> + Copy,
) where
    T: DeserializeOwned + Send + 'static,
    F: Fn(T) -> Option<News> + Copy,
{
    let mut retry = Retry::new();
    loop {
        if let Ok(list) = client.get::<List<T>>(path).await {
            for item in list.items {
                if let Some(news) = changed(item) {
                    if sender.send(news).await.is_err() {
                        return;
                    }
                }
            }
            retry.reset();
            let path = watch_path(path, &list.metadata.resource_version);
            if follow_watch(client, &path, sender, changed, gone).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(retry.next()).await;
    }
}

/// The receiver is gone: nobody judges any more.
struct Deaf;

async fn follow_watch<T>(
    client: &Client,
    path: &str,
    sender: &mpsc::Sender<News>,
    changed: impl Fn(T) -> Option<News>,
    gone: impl Fn(T) -> Option<News>,
) -> Result<(), Deaf>
where
    T: DeserializeOwned + Send + 'static,
{
    let mut watch = match client.watch::<T>(path, WATCH_IDLE).await {
        Ok(watch) => watch,
        Err(error) => {
            tracing::debug!("watch {path}: {error}");
            return Ok(());
        }
    };
    while let Some(event) = next_event(&mut watch).await {
        let Ok(event) = event else { return Ok(()) };
        let news = match event.kind.as_str() {
            "ADDED" | "MODIFIED" => changed(event.object),
            "DELETED" => gone(event.object),
            // BOOKMARK keeps the connection alive; ERROR means that the version is too old: list again.
            "BOOKMARK" => None,
            _ => return Ok(()),
        };
        if let Some(news) = news {
            sender.send(news).await.map_err(|_| Deaf)?;
        }
    }
    Ok(())
}

async fn next_event<T: DeserializeOwned + Send + 'static>(
    watch: &mut crate::api::Watch<T>,
) -> Option<Result<crate::api::WatchEvent<T>, ApiError>> {
    watch.next().await
}

fn watch_path(path: &str, version: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}watch=1&allowWatchBookmarks=true&resourceVersion={version}")
}

/// Delays between attempts that found nothing: there is no event for "a port was opened".
struct Retry(Duration);

impl Retry {
    fn new() -> Self {
        Self(Duration::from_millis(50))
    }

    fn next(&mut self) -> Duration {
        let delay = self.0;
        self.0 = (delay * 2).min(Duration::from_millis(500));
        delay
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    /// After a success: the next failure is a first one, and there is time until the next look.
    fn reset_to(&mut self, interval: Duration) -> Duration {
        self.reset();
        interval
    }
}
