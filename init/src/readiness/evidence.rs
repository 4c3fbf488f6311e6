//! What must be proved before `/kubernetes-ready` may answer 200, and what is missing, in words. Pure: `super::follow`
//! collects.
//!
//! The baked etcd contains "Ready" from the day of the bake, so an object counts only with a time after the begin of
//! this boot (the node's lease, the start of every container); `Question`s are answered in this boot.

mod lacks;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use kubake_contract::names::NodeName;
use tokio::time::Instant;

use super::clock::Clock;
use super::expected::{Expected, Scope};
use super::inventory::{Entry, Inventory};
use super::known::Known;
use super::objects::{EndpointSlice, Lease, Metadata, Node, Pod, Workload};
use super::question::Question;
use super::workload_kind::WorkloadKind;

/// The milestone of a ready API server.
pub(crate) const API_READY: &str = "api-ready";

/// The lease is renewed every 10 s (a quarter of its 40 s: `pkg/kubelet/kubelet.go`, `nodeLeaseRenewIntervalFraction`).
/// Two renewals may be lost before kubelet counts as gone.
pub(super) const LEASE_PATIENCE: Duration = Duration::from_secs(25);

/// Everything that is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// Which times are of this boot.
    clock: Clock,
    /// The objects of the image; without it (during the bake) every object counts.
    inventory: Option<Inventory>,
    expected: &'static Expected,
    /// The node whose control plane must run.
    node: NodeName,
    /// The last answer of the API server's `/readyz`; none before the first.
    pub(super) api: Option<Result<(), String>>,
    /// The lease's last renewal in this boot, and when it arrived here.
    lease: Option<(String, Instant)>,
    pub(super) nodes: Known<Node>,
    pub(super) pods: Known<Pod>,
    pub(super) workloads: BTreeMap<WorkloadKind, Known<Workload>>,
    pub(super) slices: Known<EndpointSlice>,
    /// Daemons of this container that do not run, in words.
    pub(super) daemons: Vec<String>,
    /// Lists that cannot be read now, by the name of what they list, and why.
    pub(super) unreadable: BTreeMap<&'static str, String>,
    /// The last answer to each question.
    pub(super) answers: BTreeMap<Question, Result<(), String>>,
}

impl Evidence {
    pub(super) fn new(scope: &Scope, node: NodeName) -> Self {
        Self {
            clock: Clock::new(scope.boot),
            inventory: scope.inventory.clone(),
            expected: scope.expected,
            node,
            api: None,
            lease: None,
            nodes: None,
            pods: None,
            workloads: BTreeMap::new(),
            slices: None,
            daemons: Vec::new(),
            unreadable: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// Takes note of a lease; only a renewal counts, and only one of this boot.
    pub(super) fn learn_lease(&mut self, lease: &Lease, now: Instant) {
        let Some(renewed) = &lease.spec.renew_time else { return };
        let is_news = self.lease.as_ref().is_none_or(|(before, _)| before != renewed);
        if is_news && self.is_of_this_boot(renewed) {
            self.lease = Some((renewed.clone(), now));
        }
    }

    /// Sets the time, before anything else is learned at it.
    pub(super) fn at(&mut self, now: Instant, wall: SystemTime) {
        self.clock.at(now, wall);
    }

    /// When the lease expires, if nothing is learned before.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.lease.as_ref().map(|(_, seen)| *seen + LEASE_PATIENCE)
    }

    /// Whether there is a source for everything else. Without an API server the rest is unknown, not wrong.
    fn is_readable(&self) -> bool {
        self.daemons.is_empty() && self.api == Some(Ok(()))
    }

    /// What is missing of the node itself: its daemons, the API server with etcd, and kubelet. Without them nothing that a
    /// user could do through the API would help.
    pub(super) fn missing_of_infrastructure(&self, now: Instant) -> Vec<String> {
        let mut missing = self.daemons.clone();
        match &self.api {
            Some(Ok(())) => {}
            Some(Err(reason)) => missing.push(format!("the API server is not ready: {reason}")),
            None => missing.push("the API server has not answered in this boot".to_owned()),
        }
        if !self.is_readable() {
            return missing;
        }
        match &self.lease {
            None => missing.push("kubelet has not renewed the node's lease in this boot".to_owned()),
            Some((_, seen)) if now.duration_since(*seen) >= LEASE_PATIENCE => {
                missing.push("kubelet does not renew the node's lease any more".to_owned());
            }
            Some(_) => {}
        }
        missing
    }

    /// What is missing among watched objects. Questions are asked only when nothing is.
    pub(super) fn missing_of_watched(&self, now: Instant) -> Vec<String> {
        let mut missing = self.missing_of_infrastructure(now);
        if !self.is_readable() {
            return missing;
        }
        missing.extend(self.unreadable.iter().map(|(what, why)| format!("the {what} cannot be listed: {why}")));
        missing.extend(self.node_lacks());
        let Some(pods) = &self.pods else {
            missing.push("the pods have not been listed in this boot".to_owned());
            return missing;
        };
        for entry in self.static_pods() {
            match pods.get(&(entry.namespace.clone(), entry.name.clone())) {
                None => missing.push(format!(
                    "static pod {}/{} does not run: look at its file in /etc/kubernetes/manifests",
                    entry.namespace, entry.name
                )),
                Some(pod) => missing.extend(self.pod_lacks(pod)),
            }
        }
        for kind in WorkloadKind::ALL {
            match self.workloads.get(&kind).and_then(Option::as_ref) {
                None => missing.push(format!("the {}s have not been listed in this boot", kind.name())),
                Some(known) => missing.extend(known.values().filter_map(|one| self.workload_lacks(kind, one, pods))),
            }
        }
        let bare = pods.values().filter(|pod| !pod.is_mirror() && !pod.has_controller());
        let counted = bare.filter(|pod| self.counts(|inventory| &inventory.bare_pods, "Pod", &pod.metadata));
        missing.extend(counted.filter_map(|pod| self.pod_lacks(pod)));
        if self.slices.is_none() {
            missing.push("the EndpointSlices have not been listed in this boot".to_owned());
        }
        missing.extend(self.counted_slices().flat_map(|(service, slice)| self.slice_lacks(service, slice, pods)));
        missing
    }

    /// The destinations that kube-proxy's rules must have for the image's services.
    pub(super) fn destinations(&self) -> BTreeSet<String> {
        self.counted_slices().flat_map(|(_, slice)| slice.destinations()).collect()
    }

    /// Everything that is missing.
    pub(super) fn missing(&self, now: Instant) -> Vec<String> {
        let missing = self.missing_of_watched(now);
        if !missing.is_empty() {
            return missing;
        }
        let lacks = |question: Question| match self.answers.get(&question) {
            Some(Ok(())) => None,
            Some(Err(reason)) => Some(format!("{} does not answer as it should: {reason}", question.subject())),
            None => Some(format!("{} has not answered yet", question.subject())),
        };
        let questions = self.expected.questions.iter().copied();
        questions
            .filter(|question| *question != Question::KubeProxy || self.has_kube_proxy())
            .filter_map(lacks)
            .collect()
    }

    /// Whether the image brings kube-proxy; another program may have taken its place. During the bake: whether it is there.
    fn has_kube_proxy(&self) -> bool {
        let (namespace, name) = ("kube-system".to_owned(), "kube-proxy".to_owned());
        match &self.inventory {
            Some(inventory) => inventory.workloads.iter().any(|one| {
                one.kind == WorkloadKind::DaemonSet.name() && one.namespace == namespace && one.name == name
            }),
            None => {
                let known = self.workloads.get(&WorkloadKind::DaemonSet).and_then(Option::as_ref);
                known.is_none_or(|known| known.contains_key(&(namespace, name)))
            }
        }
    }

    /// The milestones that this boot has reached.
    pub(super) fn milestones(&self) -> Vec<String> {
        let mut reached = Vec::new();
        if self.api == Some(Ok(())) {
            reached.push(API_READY.to_owned());
        }
        if self.lease.is_some() {
            reached.push("lease-renewed".to_owned());
        }
        if self.lease.is_some() && self.nodes.is_some() && self.node_lacks().is_none() {
            reached.push("node-ready".to_owned());
        }
        for pod in self.pods.iter().flat_map(BTreeMap::values) {
            let is_ready = !pod.is_over() && self.pod_lacks(pod).is_none();
            if is_ready {
                reached.push(format!("pod {}/{}", pod.metadata.namespace, pod.metadata.name));
            }
        }
        let answered = self.answers.iter().filter(|(_, answer)| answer.is_ok());
        reached.extend(answered.map(|(question, _)| question.milestone().to_owned()));
        reached
    }

    /// The inventory of what runs now, which the bake records.
    pub(super) fn inventory(&self) -> Inventory {
        let mut inventory = Inventory::default();
        for pod in self.pods.iter().flat_map(BTreeMap::values) {
            inventory.add_pod(pod);
        }
        for (kind, known) in &self.workloads {
            let entries = known.iter().flat_map(BTreeMap::values).map(|one| Entry::new(kind.name(), &one.metadata));
            inventory.workloads.extend(entries);
        }
        let slices = self.slices.iter().flat_map(BTreeMap::values);
        inventory.services = slices.filter_map(service_of).collect();
        inventory
    }

    fn static_pods(&self) -> BTreeSet<Entry> {
        let mut entries = Inventory::of_static_pods(self.expected.static_pods, &self.node);
        match &self.inventory {
            Some(inventory) => entries.extend(inventory.static_pods.iter().cloned()),
            None => {
                let mirrors = self.pods.iter().flat_map(BTreeMap::values).filter(|pod| pod.is_mirror());
                entries.extend(mirrors.map(|pod| Entry::new("Pod", &pod.metadata)));
            }
        }
        entries
    }

    fn counts(&self, of: impl FnOnce(&Inventory) -> &BTreeSet<Entry>, kind: &str, metadata: &Metadata) -> bool {
        self.inventory.as_ref().is_none_or(|inventory| of(inventory).contains(&Entry::new(kind, metadata)))
    }

    fn counted_slices(&self) -> impl Iterator<Item = (Entry, &EndpointSlice)> {
        let slices = self.slices.iter().flat_map(BTreeMap::values);
        let known = slices.filter_map(|slice| Some((service_of(slice)?, slice)));
        known
            .filter(|(service, _)| self.inventory.as_ref().is_none_or(|inventory| inventory.services.contains(service)))
    }

    fn is_of_this_boot(&self, time: &str) -> bool {
        self.clock.has_shown(time)
    }
}

fn service_of(slice: &EndpointSlice) -> Option<Entry> {
    let name = slice.service()?.to_owned();
    Some(Entry { kind: "Service".to_owned(), namespace: slice.metadata.namespace.clone(), name })
}

#[cfg(test)]
mod tests;
