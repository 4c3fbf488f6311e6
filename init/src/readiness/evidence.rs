//! What must be shown before `/kubernetes-ready` may say 200, and what is missing of it, in words. Pure: collects
//! nothing (see `super`).
//!
//! The baked etcd says "Ready" from the day of the bake, so nothing it holds counts unless it carries a time after
//! this boot began: the node's lease and the start of every container.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::Deserialize;

/// A Kubernetes object's name and life.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) resource_version: String,
}

/// A pod, as far as readiness goes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) name: String,
    pub(super) ready: bool,
    pub(super) state: ContainerState,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) running: Option<Running>,
    pub(super) waiting: Option<Waiting>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Running {
    pub(super) started_at: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
}

/// A node lease.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Lease {
    pub(super) spec: LeaseSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LeaseSpec {
    pub(super) renew_time: Option<String>,
}

/// A node.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<Condition>,
}

/// All that is known at one moment.
#[derive(Debug, Clone)]
pub(super) struct Evidence {
    /// When this boot began.
    pub(super) boot: SystemTime,
    /// What the API server's `/readyz` said last: none before the first answer.
    pub(super) api: Option<Result<(), String>>,
    pub(super) lease: Option<Lease>,
    pub(super) node: Option<Node>,
    /// By namespace and name; none before the first complete list.
    pub(super) pods: Option<BTreeMap<(String, String), Pod>>,
    /// What the cluster's DNS said last.
    pub(super) dns: Option<Result<(), String>>,
}

impl Evidence {
    pub(super) fn new(boot: SystemTime) -> Self {
        Self { boot, api: None, lease: None, node: None, pods: None, dns: None }
    }

    /// Everything that is missing except DNS, which is only asked once all the rest is there.
    pub(super) fn missing_before_dns(&self) -> Vec<String> {
        let mut missing = Vec::new();
        match &self.api {
            Some(Ok(())) => {}
            Some(Err(reason)) => missing.push(format!("the API server is not ready: {reason}")),
            None => missing.push("the API server has not answered in this boot".to_owned()),
        }
        if !missing.is_empty() {
            // Without an API server the rest is unknown, not wrong.
            return missing;
        }
        let renewed = self.lease.as_ref().and_then(|lease| lease.spec.renew_time.as_deref());
        if !renewed.is_some_and(|time| self.is_of_this_boot(time)) {
            missing.push("kubelet has not renewed the node's lease in this boot".to_owned());
        }
        let node_is_ready = self.node.as_ref().is_some_and(|node| is_true(&node.status.conditions, "Ready"));
        if !node_is_ready {
            missing.push("the node is not Ready".to_owned());
        }
        match &self.pods {
            None => missing.push("the pods have not been listed in this boot".to_owned()),
            Some(pods) if pods.is_empty() => missing.push("there are no pods: not even CoreDNS".to_owned()),
            Some(pods) => missing.extend(pods.values().filter_map(|pod| self.pod_lacks(pod))),
        }
        missing
    }

    /// Everything that is missing.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = self.missing_before_dns();
        if missing.is_empty() {
            match &self.dns {
                Some(Ok(())) => {}
                Some(Err(reason)) => missing.push(format!("the cluster's DNS does not answer: {reason}")),
                None => missing.push("the cluster's DNS has not been asked yet".to_owned()),
            }
        }
        missing
    }

    fn pod_lacks(&self, pod: &Pod) -> Option<String> {
        // Completed Jobs and evicted pods never become ready and are no reason to wait.
        let is_over = matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        if is_over || pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let name = format!("{}/{}", pod.metadata.namespace, pod.metadata.name);
        if pod.status.container_statuses.is_empty() {
            return Some(format!("pod {name} has no containers yet ({})", pod.status.phase));
        }
        for container in &pod.status.container_statuses {
            let what = match (&container.state.running, &container.state.waiting) {
                (Some(running), _) if !self.is_of_this_boot(&running.started_at) => "has not started in this boot",
                (Some(_), _) if !container.ready => "is running but not ready",
                (Some(_), _) => continue,
                (None, Some(waiting)) if !waiting.reason.is_empty() => waiting.reason.as_str(),
                _ => "is not running",
            };
            return Some(format!("pod {name}: container {}: {what}", container.name));
        }
        if is_true(&pod.status.conditions, "Ready") { None } else { Some(format!("pod {name} is not Ready")) }
    }

    fn is_of_this_boot(&self, time: &str) -> bool {
        // Kubernetes writes container starts in whole seconds; the second in which the boot began may be meant.
        let slack = Duration::from_secs(1);
        humantime::parse_rfc3339(time).is_ok_and(|time| time + slack > self.boot)
    }
}

fn is_true(conditions: &[Condition], kind: &str) -> bool {
    conditions.iter().any(|condition| condition.kind == kind && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOOT: &str = "2026-11-22T10:00:00.500Z";
    const AFTER: &str = "2026-11-22T10:00:00Z";
    const BAKE: &str = "2026-11-01T08:00:00Z";

    fn pod(name: &str, started: &str, is_ready: bool) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "kube-system" },
            "status": {
                "phase": "Running",
                "conditions": [{ "type": "Ready", "status": if is_ready { "True" } else { "False" } }],
                "containerStatuses": [{ "name": name, "ready": is_ready, "state": { "running": { "startedAt": started } } }],
            },
        }))
        .unwrap()
    }

    fn complete() -> Evidence {
        let ready = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        let mut evidence = Evidence::new(humantime::parse_rfc3339(BOOT).unwrap());
        evidence.api = Some(Ok(()));
        evidence.lease =
            serde_json::from_value(json!({ "spec": { "renewTime": "2026-11-22T10:00:03.123456Z" } })).unwrap();
        evidence.node = serde_json::from_value(ready).unwrap();
        evidence.pods = Some(BTreeMap::from([(("kube-system".into(), "etcd".into()), pod("etcd", AFTER, true))]));
        evidence.dns = Some(Ok(()));
        evidence
    }

    fn put(evidence: &mut Evidence, pod: Pod) {
        let key = (pod.metadata.namespace.clone(), pod.metadata.name.clone());
        evidence.pods.as_mut().unwrap().insert(key, pod);
    }

    #[test]
    fn complete_evidence_is_enough() {
        assert_eq!(complete().missing(), Vec::<String>::new());
    }

    #[test]
    fn what_the_bake_wrote_is_not_believed() {
        let mut evidence = complete();
        evidence.lease.as_mut().unwrap().spec.renew_time = Some(BAKE.to_owned());
        put(&mut evidence, pod("coredns", BAKE, true));
        assert_eq!(
            evidence.missing(),
            [
                "kubelet has not renewed the node's lease in this boot",
                "pod kube-system/coredns: container coredns: has not started in this boot"
            ]
        );
    }

    #[test]
    fn each_missing_piece_is_named() {
        let mut evidence = complete();
        evidence.dns = Some(Err("timed out".to_owned()));
        assert_eq!(evidence.missing(), ["the cluster's DNS does not answer: timed out"]);
        evidence.node = None;
        assert_eq!(evidence.missing(), ["the node is not Ready"]);
        evidence.api = Some(Err("etcd failed".to_owned()));
        assert_eq!(evidence.missing(), ["the API server is not ready: etcd failed"]);
        evidence.api = None;
        assert_eq!(evidence.missing(), ["the API server has not answered in this boot"]);
    }

    #[test]
    fn completed_evicted_and_deleted_pods_are_tolerated_and_pending_ones_are_not() {
        let mut evidence = complete();
        for (name, phase) in [("job", "Succeeded"), ("evicted", "Failed")] {
            let mut pod = pod(name, BAKE, false);
            phase.clone_into(&mut pod.status.phase);
            put(&mut evidence, pod);
        }
        let mut deleted = pod("gone", BAKE, false);
        deleted.metadata.deletion_timestamp = Some(AFTER.to_owned());
        put(&mut evidence, deleted);
        assert_eq!(evidence.missing(), Vec::<String>::new());

        let mut pending = pod("pending", BAKE, false);
        pending.status.container_statuses.clear();
        "Pending".clone_into(&mut pending.status.phase);
        put(&mut evidence, pending);
        assert_eq!(evidence.missing(), ["pod kube-system/pending has no containers yet (Pending)"]);
    }
}
