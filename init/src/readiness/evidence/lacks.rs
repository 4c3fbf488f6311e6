//! What an object lacks to be ready in this boot, in words; none when it is ready.

use std::collections::BTreeMap;

use super::Evidence;
use crate::readiness::inventory::Entry;
use crate::readiness::objects::{Condition, EndpointSlice, Name, Pod, Workload};
use crate::readiness::workload_kind::WorkloadKind;

impl Evidence {
    pub(super) fn node_lacks(&self) -> Option<String> {
        let node = self.nodes.as_ref().and_then(|nodes| nodes.values().next());
        let Some(node) = node else { return Some("the node does not exist".to_owned()) };
        let ready = node.status.conditions.iter().find(|condition| condition.kind == "Ready");
        match ready {
            Some(ready) if ready.status == "True" => None,
            Some(ready) if !ready.message.is_empty() => Some(format!("the node is not Ready: {}", ready.message)),
            _ => Some("the node is not Ready".to_owned()),
        }
    }

    /// At boot the slices are those of the bake: the same pods, at their old addresses.
    pub(super) fn slice_lacks(&self, service: Entry, slice: &EndpointSlice, pods: &BTreeMap<Name, Pod>) -> Vec<String> {
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

    /// Counts pods and not the status, which the controller wrote at the bake.
    pub(super) fn workload_lacks(
        &self,
        kind: WorkloadKind,
        workload: &Workload,
        pods: &BTreeMap<Name, Pod>,
    ) -> Option<String> {
        let metadata = &workload.metadata;
        if metadata.deletion_timestamp.is_some()
            || !self.counts(|inventory| &inventory.workloads, kind.name(), metadata)
        {
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

    pub(super) fn pod_lacks(&self, pod: &Pod) -> Option<String> {
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
}

fn condition<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.kind == kind)
}
