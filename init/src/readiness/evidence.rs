//! What must be shown before `/kubernetes-ready` may say 200, and what is missing of it, in words. Pure: collects
//! nothing (see `super`).
//!
//! The baked etcd says "Ready" from the day of the bake, so nothing it holds counts unless it carries a time after
//! this boot began (the node's lease, the start of every container) or is asked for now (`Question`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::expected::{Expected, Scope};
use super::inventory::{Entry, Inventory};
use super::known::Known;
use super::objects::{Condition, EndpointSlice, Lease, Metadata, Name, Node, Pod, Workload};
use super::question::Question;
use super::workload_kind::WorkloadKind;
use kubake_contract::names::NodeName;

/// The lease is renewed every 10 s (a quarter of its 40 s: `pkg/kubelet/kubelet.go`, `nodeLeaseRenewIntervalFraction`).
/// Two renewals may get lost before kubelet is held to be gone.
pub(super) const LEASE_PATIENCE: Duration = Duration::from_secs(25);

/// All that is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// When this boot began.
    boot: SystemTime,
    /// The same on the clock that nobody sets.
    begun: Instant,
    /// Now on either clock, as far as time was told.
    now: (Instant, SystemTime),
    /// What the image brings; without it (while it is being baked) everything there is counts.
    inventory: Option<Inventory>,
    expected: &'static Expected,
    /// The node whose control plane must run.
    node: NodeName,
    /// What the API server's `/readyz` said last: none before the first answer.
    pub(super) api: Option<Result<(), String>>,
    /// The lease's last renewal in this boot, and when it was seen.
    lease: Option<(String, Instant)>,
    pub(super) nodes: Known<Node>,
    pub(super) pods: Known<Pod>,
    pub(super) workloads: BTreeMap<WorkloadKind, Known<Workload>>,
    pub(super) slices: Known<EndpointSlice>,
    /// Daemons of this container that do not run, in words.
    pub(super) daemons: Vec<String>,
    /// What the last answers were.
    pub(super) answers: BTreeMap<Question, Result<(), String>>,
}

impl Evidence {
    pub(super) fn new(scope: &Scope, node: NodeName) -> Self {
        let (begun, boot) = scope.boot;
        Self {
            boot,
            begun,
            now: (begun, boot),
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
            answers: BTreeMap::new(),
        }
    }

    /// A lease as it is now; only a renewal counts, and only one of this boot.
    pub(super) fn learn_lease(&mut self, lease: &Lease, now: Instant) {
        let Some(renewed) = &lease.spec.renew_time else { return };
        let is_news = self.lease.as_ref().is_none_or(|(before, _)| before != renewed);
        if is_news && self.is_of_this_boot(renewed) {
            self.lease = Some((renewed.clone(), now));
        }
    }

    /// Tells the time, before anything else is learned at it.
    pub(super) fn at(&mut self, now: Instant, wall: SystemTime) {
        self.now = (now, wall);
    }

    /// When time alone makes a difference: the lease gets too old.
    pub(super) fn expires(&self) -> Option<Instant> {
        self.lease.as_ref().map(|(_, seen)| *seen + LEASE_PATIENCE)
    }

    /// Everything that is missing of what is watched. Questions are asked only when it is nothing.
    pub(super) fn missing_of_watched(&self, now: Instant) -> Vec<String> {
        let mut missing = self.daemons.clone();
        match &self.api {
            Some(Ok(())) => {}
            Some(Err(reason)) => missing.push(format!("the API server is not ready: {reason}")),
            None => missing.push("the API server has not answered in this boot".to_owned()),
        }
        if !missing.is_empty() {
            // Without an API server the rest is unknown, not wrong.
            return missing;
        }
        match &self.lease {
            None => missing.push("kubelet has not renewed the node's lease in this boot".to_owned()),
            Some((_, seen)) if now.duration_since(*seen) >= LEASE_PATIENCE => {
                missing.push("kubelet does not renew the node's lease any more".to_owned());
            }
            Some(_) => {}
        }
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

    /// Where packets for the image's services are to be led: what kube-proxy's rules must say.
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
        self.expected.questions.iter().copied().filter_map(lacks).collect()
    }

    /// What was reached, for the record of a boot.
    pub(super) fn milestones(&self) -> Vec<String> {
        let mut reached = Vec::new();
        if self.api == Some(Ok(())) {
            reached.push("api-ready".to_owned());
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

    /// What the bake has to write down of what runs now.
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

    fn node_lacks(&self) -> Option<String> {
        let node = self.nodes.as_ref().and_then(|nodes| nodes.values().next());
        let Some(node) = node else { return Some("the node does not exist".to_owned()) };
        let ready = node.status.conditions.iter().find(|condition| condition.kind == "Ready");
        match ready {
            Some(ready) if ready.status == "True" => None,
            Some(ready) if !ready.message.is_empty() => Some(format!("the node is not Ready: {}", ready.message)),
            _ => Some("the node is not Ready".to_owned()),
        }
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

    /// At boot the slices are those of the bake: the same pods, at addresses that they do not have any more.
    fn slice_lacks(&self, service: Entry, slice: &EndpointSlice, pods: &BTreeMap<Name, Pod>) -> Vec<String> {
        let mut lacks = Vec::new();
        for endpoint in slice.endpoints() {
            let Some(pod) = endpoint.pod().and_then(|name| pods.get(&name)) else { continue };
            if pod.is_over() || self.pod_lacks(pod).is_some() {
                continue;
            }
            let is_there = |address: &String| pod.status.pod_ips.iter().any(|own| own.ip == *address);
            if !(endpoint.is_ready() && endpoint.addresses.iter().all(is_there)) {
                let pod = &pod.metadata;
                let service = format!("{}/{}", service.namespace, service.name);
                lacks.push(format!("service {service} does not lead to pod {}/{} yet", pod.namespace, pod.name));
            }
        }
        lacks
    }

    /// Not what the controller wrote into the status counts (at boot that is what it wrote at the bake), but the pods.
    fn workload_lacks(&self, kind: WorkloadKind, workload: &Workload, pods: &BTreeMap<Name, Pod>) -> Option<String> {
        let metadata = &workload.metadata;
        if !self.counts(|inventory| &inventory.workloads, kind.name(), metadata) {
            return None;
        }
        let wanted = kind.wanted(workload);
        let mut ready = 0;
        let mut reasons = Vec::new();
        for pod in pods.values() {
            let is_its = pod.metadata.namespace == metadata.namespace
                && !pod.is_over()
                && workload.spec.selector.matches(&pod.metadata.labels);
            if is_its {
                match self.pod_lacks(pod) {
                    None => ready += 1,
                    Some(reason) => reasons.push(reason),
                }
            }
        }
        if ready >= wanted {
            return None;
        }
        let reasons = if reasons.is_empty() { "there are no more of them".to_owned() } else { reasons.join(", ") };
        let name = format!("{} {}/{}", kind.name(), metadata.namespace, metadata.name);
        Some(format!("{name} has {ready} of {wanted} pods ready: {reasons}"))
    }

    fn pod_lacks(&self, pod: &Pod) -> Option<String> {
        if pod.is_over() {
            return None;
        }
        let name = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        if pod.status.container_statuses.is_empty() {
            let unscheduled = condition(&pod.status.conditions, "PodScheduled").filter(|one| one.status == "False");
            let why = unscheduled.map_or(pod.status.phase.as_str(), |one| one.message.as_str());
            return Some(format!("pod {name} has no containers yet ({why})"));
        }
        for container in &pod.status.container_statuses {
            let what = match (&container.state.running, &container.state.waiting) {
                (Some(running), _) if !self.is_of_this_boot(&running.started_at) => "has not started in this boot",
                (Some(_), _) if !container.ready => "is running but not ready",
                (Some(_), _) => continue,
                (None, Some(waiting)) if !waiting.reason.is_empty() => waiting.reason.as_str(),
                (None, _) => "is not running",
            };
            return Some(format!("pod {name}: container {} {what}", container.name));
        }
        let is_ready = condition(&pod.status.conditions, "Ready").is_some_and(|one| one.status == "True");
        if is_ready { None } else { Some(format!("pod {name} is not Ready")) }
    }

    /// Kubernetes writes container times in whole seconds, rounded down. A time ahead of now is one of the bake, seen by a
    /// container whose clock is behind the bake's. Where the clock was set since (a machine that slept), a time of this
    /// boot may be one of the old clock or one of the new.
    fn is_of_this_boot(&self, time: &str) -> bool {
        let slack = Duration::from_secs(1);
        let (now, wall) = self.now;
        let life = now.duration_since(self.begun);
        let earliest = wall.checked_sub(life).map_or(self.boot, |boot| boot.min(self.boot));
        let latest = wall.max(self.boot + life);
        humantime::parse_rfc3339(time).is_ok_and(|time| time + slack > earliest && time < latest + slack)
    }
}

fn service_of(slice: &EndpointSlice) -> Option<Entry> {
    let name = slice.service()?.to_owned();
    Some(Entry { kind: "Service".to_owned(), namespace: slice.metadata.namespace.clone(), name })
}

fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}

#[cfg(test)]
mod tests;
