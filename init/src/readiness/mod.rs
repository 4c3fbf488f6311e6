//! Collects the evidence that the cluster works in this boot and keeps the board told, for as long as it runs: follows
//! lease, node, pods, workloads and endpoints by watch, and asks components. Decides nothing itself: `evidence` says what is
//! missing, `steady` when that is told.

mod evidence;
mod expected;
mod inventory;
mod known;
mod objects;
mod question;
mod questions;
mod steady;
mod workload_kind;

use std::collections::BTreeSet;
use std::future::pending;
use std::time::{Duration, SystemTime};

use futures_util::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Client, WatchKind};
use crate::phases::BoxError;
use crate::status::{Board, ComponentState, Readiness, Status};
use evidence::Evidence;
pub(crate) use expected::{Expected, Scope};
pub(crate) use inventory::Inventory;
use known::{Change, learn};
use kubake_contract::ClusterSettings;
use kubake_contract::error_chain::chain;
use kubake_contract::names::NodeName;
use objects::{EndpointSlice, Lease, Metadata, Node, Pod, Workload};
pub(crate) use question::Question;
use questions::Askable;
use steady::{Steady, Verdict};
use workload_kind::WorkloadKind;

/// How often the API server is asked again once it is ready.
const API_INTERVAL: Duration = Duration::from_secs(5);
/// How often everything else is asked again once it answered.
const QUESTION_INTERVAL: Duration = Duration::from_secs(10);
/// A watch that is silent for longer is begun anew: the API server sends bookmarks about once a minute.
const WATCH_IDLE: Duration = Duration::from_secs(150);

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const NODES: &str = "/api/v1/nodes";
const PODS: &str = "/api/v1/pods";
const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// One thing that was learned.
enum News {
    Api(Result<(), String>),
    Lease(Change<Lease>),
    Node(Change<Node>),
    Pod(Change<Pod>),
    Workload(WorkloadKind, Change<Workload>),
    Slice(Change<EndpointSlice>),
    Answer(Question, Result<(), String>),
}

/// Follows the cluster until the future is dropped.
pub(crate) async fn follow(client: Client, settings: &ClusterSettings, node: &NodeName, scope: Scope, board: &Board) {
    let (sender, mut news) = mpsc::channel(64);
    // Lists wait for a ready API server, questions for everything that is watched: what is asked too early costs the
    // very processor time that the answer waits for.
    let (api_is_ready, list_wanted) = watch::channel(false);
    let (watched_is_complete, ask_wanted) = watch::channel(false);
    let (destinations, wanted_destinations) = watch::channel(BTreeSet::new());
    let askable = Askable::new(&client, settings, wanted_destinations);
    let ask = |question| ask_again(question, &askable, ask_wanted.clone(), sender.clone());
    let list = Lists { client: &client, wanted: list_wanted, sender: sender.clone() };
    let workloads = |kind: WorkloadKind| list.follow(kind.path().to_owned(), move |item| News::Workload(kind, item));
    let of_node = |path: &str| format!("{path}?fieldSelector=metadata.name={node}");

    let collect = async {
        tokio::join!(
            ask_api(&client, &sender),
            list.follow(of_node(LEASE), News::Lease),
            list.follow(of_node(NODES), News::Node),
            list.follow(PODS.to_owned(), News::Pod),
            workloads(WorkloadKind::Deployment),
            workloads(WorkloadKind::DaemonSet),
            workloads(WorkloadKind::StatefulSet),
            list.follow(SLICES.to_owned(), News::Slice),
            join_all(scope.expected.questions.iter().map(|question| ask(*question))),
        )
    };
    let judge = async {
        let mut evidence = Evidence::new(&scope, node.clone());
        let mut steady = Steady::default();
        let mut daemons = board.subscribe();
        let mut again = None;
        loop {
            tokio::select! {
                item = news.recv() => match item {
                    Some(item) => {
                        evidence.at(Instant::now(), SystemTime::now());
                        take(&mut evidence, item);
                    }
                    None => return,
                },
                // The board itself is told below, which wakes this once more for nothing.
                changed = daemons.changed() => if changed.is_err() { return },
                () = until(again) => {}
            }
            evidence.daemons = stopped_daemons(&daemons.borrow_and_update(), scope.expected.daemons);
            let now = Instant::now();
            evidence.at(now, SystemTime::now());
            api_is_ready.send_if_modified(|ready| replace(ready, evidence.api == Some(Ok(()))));
            // Before anybody is asked about them.
            destinations.send_if_modified(|known| replace(known, evidence.destinations()));
            let is_watched_complete = evidence.missing_of_watched(now).is_empty();
            watched_is_complete.send_if_modified(|complete| replace(complete, is_watched_complete));
            if !is_watched_complete {
                // An answer from before the gap proves nothing after it.
                evidence.answers.clear();
            }
            for name in evidence.milestones() {
                board.milestone(&name);
            }
            let missing = evidence.missing(now);
            let due = match steady.judge(missing.is_empty(), now) {
                Verdict::Tell => {
                    if board.set_kubernetes(Readiness::from_missing(missing)) {
                        tracing::info!("Kubernetes ready after {:.1} s", board.uptime().as_secs_f64());
                    }
                    None
                }
                Verdict::Keep(due) => Some(due),
            };
            let expires = evidence.expires().filter(|expires| *expires > now);
            again = [due, expires].into_iter().flatten().min();
        }
    };
    tokio::select! {
        _ = collect => {}
        () = judge => {}
    }
}

/// What runs now, for the bake to write down.
///
/// # Errors
/// When the API server does not list it.
pub(crate) async fn take_inventory(
    client: &Client,
    node: &NodeName,
    expected: &'static Expected,
) -> Result<Inventory, BoxError> {
    let scope = Scope { boot: (Instant::now(), SystemTime::UNIX_EPOCH), inventory: None, expected };
    let mut evidence = Evidence::new(&scope, node.clone());
    learn(&mut evidence.pods, Change::Listed(client.get::<List<Pod>>(PODS).await?.items));
    learn(&mut evidence.slices, Change::Listed(client.get::<List<EndpointSlice>>(SLICES).await?.items));
    for kind in WorkloadKind::ALL {
        let list = client.get::<List<Workload>>(kind.path()).await?;
        learn(evidence.workloads.entry(kind).or_default(), Change::Listed(list.items));
    }
    Ok(evidence.inventory())
}

fn take(evidence: &mut Evidence, news: News) {
    match news {
        News::Api(answer) => evidence.api = Some(answer),
        News::Lease(Change::Listed(leases)) => {
            for lease in &leases {
                evidence.learn_lease(lease, Instant::now());
            }
        }
        News::Lease(Change::Changed(lease)) => evidence.learn_lease(&lease, Instant::now()),
        // Kubelet makes a new one; until then the old one gets too old.
        News::Lease(Change::Gone(_)) => {}
        News::Node(change) => learn(&mut evidence.nodes, change),
        News::Pod(change) => learn(&mut evidence.pods, change),
        News::Workload(kind, change) => learn(evidence.workloads.entry(kind).or_default(), change),
        News::Slice(change) => learn(&mut evidence.slices, change),
        News::Answer(question, answer) => {
            evidence.answers.insert(question, answer);
        }
    }
}

/// Describes each needed daemon that does not run. One that is starting counts as running.
fn stopped_daemons(status: &Status, needed: &[&str]) -> Vec<String> {
    let needed = status.components.iter().filter(|one| needed.contains(&one.name.as_str()));
    let stopped = needed.filter(|one| matches!(one.state, ComponentState::BackingOff | ComponentState::Failed));
    stopped
        .map(|one| match &one.last_exit {
            Some(exit) => format!("{} does not run: {exit}", one.name),
            None => format!("{} does not run", one.name),
        })
        .collect()
}

/// Puts `new` in place; true when that is a change.
fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let is_change = *old != new;
    *old = new;
    is_change
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

async fn ask_api(client: &Client, sender: &mpsc::Sender<News>) {
    let client = client.clone().with_timeout(questions::PATIENCE);
    let mut retry = Retry::new();
    loop {
        let answer = client.get_text("/readyz").await.map(drop).map_err(|error| chain(&error));
        let wait = if answer.is_ok() { retry.reset_to(API_INTERVAL) } else { retry.next() };
        if sender.send(News::Api(answer)).await.is_err() {
            return;
        }
        sleep(wait).await;
    }
}

async fn ask_again(
    question: Question,
    askable: &Askable,
    mut wanted: watch::Receiver<bool>,
    sender: mpsc::Sender<News>,
) {
    let mut retry = Retry::new();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        let answer = askable.ask(question, retry.attempts).await;
        let wait = if answer.is_ok() { retry.reset_to(QUESTION_INTERVAL) } else { retry.next() };
        // An answer to a question that is not wanted any more belongs to the time before a gap.
        let is_wanted = *wanted.borrow_and_update();
        if is_wanted && sender.send(News::Answer(question, answer)).await.is_err() {
            return;
        }
        // After a gap the next answer is wanted at once, not at the end of the interval.
        tokio::select! {
            () = sleep(wait) => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
    }
}

/// A list as the API gives it.
#[derive(Debug, Deserialize)]
struct List<T> {
    metadata: Metadata,
    items: Vec<T>,
}

/// What all lists that are followed have in common.
struct Lists<'a> {
    client: &'a Client,
    wanted: watch::Receiver<bool>,
    sender: mpsc::Sender<News>,
}

impl Lists<'_> {
    /// Lists, then watches, until nobody judges any more; begins anew whenever either ends.
    async fn follow<T>(&self, path: String, news: impl Fn(Change<T>) -> News)
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut retry = Retry::new();
        let mut wanted = self.wanted.clone();
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            match self.client.get::<List<T>>(&path).await {
                Ok(list) => {
                    retry.reset();
                    if self.sender.send(news(Change::Listed(list.items))).await.is_err()
                        || self.watch(&watch_path(&path, &list.metadata.resource_version), &news).await.is_err()
                    {
                        return;
                    }
                }
                Err(error) => tracing::debug!("list {path}: {}", chain(&error)),
            }
            sleep(retry.next()).await;
        }
    }

    async fn watch<T>(&self, path: &str, news: impl Fn(Change<T>) -> News) -> Result<(), Deaf>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut watch = match self.client.watch::<T>(path, WATCH_IDLE).await {
            Ok(watch) => watch,
            Err(error) => {
                tracing::debug!("watch {path}: {}", chain(&error));
                return Ok(());
            }
        };
        // An error means that the version is too old, most likely: list again.
        while let Some(Ok(event)) = watch.next().await {
            let change = match event.kind {
                WatchKind::Added | WatchKind::Modified => Change::Changed(event.object),
                WatchKind::Deleted => Change::Gone(event.object),
            };
            self.sender.send(news(change)).await.map_err(|_| Deaf)?;
        }
        Ok(())
    }
}

/// The receiver is gone: nobody judges any more.
struct Deaf;

fn watch_path(path: &str, version: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}watch=1&allowWatchBookmarks=true&resourceVersion={version}")
}

/// Delays between attempts that found nothing: there is no event for "a port was opened". Short at first, because a
/// boot waits for it, and long when it goes on.
struct Retry {
    attempts: u32,
}

impl Retry {
    const SHORT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(1);
    /// Half a minute of short ones.
    const SHORT_ATTEMPTS: u32 = 600;

    fn new() -> Self {
        Self { attempts: 0 }
    }

    fn next(&mut self) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts <= Self::SHORT_ATTEMPTS { Self::SHORT } else { Self::LONG }
    }

    fn reset(&mut self) {
        self.attempts = 0;
    }

    /// After a success: the next failure is a first one, and there is time until the next look.
    fn reset_to(&mut self, interval: Duration) -> Duration {
        self.reset();
        interval
    }
}
