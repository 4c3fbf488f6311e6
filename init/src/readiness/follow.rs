//! Collects evidence for as long as the cluster runs, and reports on the board what is missing. Decides nothing itself.

use std::collections::BTreeSet;
use std::future::pending;
use std::time::SystemTime;

use futures_util::future::join_all;
use kubake_contract::ClusterSettings;
use kubake_contract::names::NodeName;
use kubake_contract::status::{ComponentState, Readiness, Status};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::asking::{ask_again, ask_api};
use super::evidence::Evidence;
use super::expected::Scope;
use super::known::{Change, learn};
use super::lists::{LEASE, Lists, NODES, PODS, SLICES};
use super::news::News;
use super::probes::Probes;
use super::steady::{Steady, Verdict};
use super::workload_kind::WorkloadKind;
use crate::api::Client;
use crate::status::Board;

/// Follows the cluster until the future is dropped.
pub(crate) async fn follow(client: Client, settings: &ClusterSettings, node: &NodeName, scope: Scope, board: &Board) {
    let (sender, mut news) = mpsc::channel(64);
    // Lists wait for a ready API server, questions for everything that is watched: a request that is too early costs
    // processor time that the boot needs.
    let (api_is_ready, list_wanted) = watch::channel(false);
    let (watched_is_complete, ask_wanted) = watch::channel(false);
    let (destinations, wanted_destinations) = watch::channel(BTreeSet::new());
    let probes = Probes::new(&client, settings, wanted_destinations);
    let ask = |question| ask_again(question, &probes, ask_wanted.clone(), sender.clone());
    let list = Lists { client: &client, wanted: list_wanted, sender: sender.clone() };
    let workloads =
        |kind: WorkloadKind| list.follow(kind.plural(), kind.path().to_owned(), move |item| News::Workload(kind, item));
    let of_node = |path: &str| format!("{path}?fieldSelector=metadata.name={node}");

    let collect = async {
        tokio::join!(
            ask_api(&client, &sender),
            list.follow("node leases", of_node(LEASE), News::Lease),
            list.follow("nodes", of_node(NODES), News::Node),
            list.follow("pods", PODS.to_owned(), News::Pod),
            workloads(WorkloadKind::Deployment),
            workloads(WorkloadKind::DaemonSet),
            workloads(WorkloadKind::StatefulSet),
            list.follow("EndpointSlices", SLICES.to_owned(), News::Slice),
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
                // The report to the board below also wakes this, once more than needed.
                changed = daemons.changed() => if changed.is_err() { return },
                () = until(again) => {}
            }
            evidence.daemons = stopped_daemons(&daemons.borrow_and_update(), scope.expected.daemons);
            let now = Instant::now();
            evidence.at(now, SystemTime::now());
            api_is_ready.send_if_modified(|ready| replace(ready, evidence.api == Some(Ok(()))));
            board.set_infrastructure(evidence.missing_of_infrastructure(now).is_empty());
            // Before the question about them.
            destinations.send_if_modified(|known| replace(known, evidence.destinations()));
            let is_watched_complete = evidence.missing_of_watched(now).is_empty();
            watched_is_complete.send_if_modified(|complete| replace(complete, is_watched_complete));
            if !is_watched_complete {
                // Answers from before a gap prove nothing after it.
                evidence.answers.clear();
            }
            if board.records_milestones() {
                for name in evidence.milestones() {
                    board.milestone(&name);
                }
            }
            let missing = evidence.missing(now);
            let due = match steady.judge(missing.is_empty(), now) {
                Verdict::Report => {
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

fn take(evidence: &mut Evidence, news: News) {
    match news {
        News::Api(answer) => evidence.api = Some(answer),
        News::Lease(Change::Listed(leases)) => {
            for lease in &leases {
                evidence.learn_lease(lease, Instant::now());
            }
        }
        News::Lease(Change::Changed(lease)) => evidence.learn_lease(&lease, Instant::now()),
        // Kubelet creates another; until then the known one expires.
        News::Lease(Change::Gone(_)) => {}
        News::Node(change) => learn(&mut evidence.nodes, change),
        News::Pod(change) => learn(&mut evidence.pods, change),
        News::Workload(kind, change) => learn(evidence.workloads.entry(kind).or_default(), change),
        News::Slice(change) => learn(&mut evidence.slices, change),
        News::Unreadable(what, Some(why)) => {
            evidence.unreadable.insert(what, why);
        }
        News::Unreadable(what, None) => {
            evidence.unreadable.remove(what);
        }
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

/// Replaces `old` by `new`; true when they differ.
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
