//! The parts of the API's objects that readiness reads: what watches decode into. Pure; decides nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// Go writes an empty time or list as `null`: what a user wrote into one object must not spoil the list of all.
fn null_is_default<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(decoder: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(decoder)?.unwrap_or_default())
}

/// Names, owners and labels of an object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) resource_version: String,
    /// Of a list: where its next page begins; empty on the last one.
    pub(super) r#continue: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) owner_references: Vec<OwnerReference>,
}

impl Metadata {
    pub(super) fn key(&self) -> Name {
        (self.namespace.clone(), self.name.clone())
    }
}

/// Namespace and name.
pub(super) type Name = (String, String);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    pub(super) controller: bool,
    pub(super) kind: String,
}

/// An object with metadata.
pub(super) trait Object {
    fn metadata(&self) -> &Metadata;
}

macro_rules! objects {
    ($($kind:ty),*) => {
        $(impl Object for $kind {
            fn metadata(&self) -> &Metadata {
                &self.metadata
            }
        })*
    };
}

objects!(Pod, Lease, Node, Workload, EndpointSlice);

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) status: PodStatus,
}

impl Pod {
    /// Whether kubelet created it to show a static pod, whose source is a file on the node.
    pub(super) fn is_mirror(&self) -> bool {
        self.metadata.annotations.contains_key("kubernetes.io/config.mirror")
    }

    /// Whether a controller replaces it after its deletion.
    pub(super) fn has_controller(&self) -> bool {
        self.metadata.owner_references.iter().any(|owner| owner.controller && owner.kind != "Node")
    }

    /// Completed Jobs' and evicted pods never become ready, nor does one that is being deleted.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.phase.as_str(), "Succeeded" | "Failed") || self.metadata.deletion_timestamp.is_some()
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Vec<PodIp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodIp {
    pub(super) ip: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) message: String,
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
    #[serde(deserialize_with = "null_is_default")]
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
    pub(super) metadata: Metadata,
    pub(super) spec: LeaseSpec,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LeaseSpec {
    pub(super) renew_time: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Node {
    pub(super) metadata: Metadata,
    pub(super) status: NodeStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    pub(super) conditions: Vec<Condition>,
}

/// A Deployment, DaemonSet or StatefulSet.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Workload {
    pub(super) metadata: Metadata,
    pub(super) spec: WorkloadSpec,
    pub(super) status: WorkloadStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkloadSpec {
    /// The API server sets 1 by default.
    pub(super) replicas: Option<u32>,
    pub(super) selector: Selector,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WorkloadStatus {
    /// DaemonSets only: how many nodes should run it.
    pub(super) desired_number_scheduled: u32,
}

/// Some of a service's endpoints, from which kube-proxy builds its rules.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EndpointSlice {
    pub(super) metadata: Metadata,
    address_type: String,
    // `null` when empty.
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<EndpointPort>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Endpoint {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) addresses: Vec<String>,
    conditions: EndpointConditions,
    target_ref: Option<TargetRef>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EndpointConditions {
    ready: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EndpointPort {
    port: Option<u16>,
}

impl EndpointSlice {
    /// The service's name, if the controller manager maintains its endpoints; none for slices of other controllers.
    pub(super) fn service(&self) -> Option<&str> {
        let label = |name: &str| self.metadata.labels.get(name).map(String::as_str);
        let is_kept = label("endpointslice.kubernetes.io/managed-by") == Some("endpointslice-controller.k8s.io");
        label("kubernetes.io/service-name").filter(|_| is_kept)
    }

    pub(super) fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.iter().flatten()
    }

    /// Where kube-proxy leads packets for the service, each as `ADDRESS:PORT`. None for services without an address,
    /// and for those of another proxy (`pkg/proxy/config`).
    pub(super) fn destinations(&self) -> impl Iterator<Item = String> {
        let others = ["service.kubernetes.io/headless", "service.kubernetes.io/service-proxy-name"];
        let is_led = self.address_type == "IPv4" && others.iter().all(|name| !self.metadata.labels.contains_key(*name));
        let endpoints = self.endpoints().filter(move |endpoint| is_led && endpoint.is_ready());
        let addresses = endpoints.flat_map(|endpoint| &endpoint.addresses);
        addresses.flat_map(|address| {
            self.ports.iter().flatten().filter_map(move |port| Some(format!("{address}:{}", port.port?)))
        })
    }
}

impl Endpoint {
    /// Unknown means true (`discovery/v1`: `EndpointConditions`).
    pub(super) fn is_ready(&self) -> bool {
        self.conditions.ready.unwrap_or(true)
    }

    /// The pod behind the endpoint.
    pub(super) fn pod(&self) -> Option<Name> {
        let pod = self.target_ref.as_ref().filter(|target| target.kind == "Pod")?;
        Some((pod.namespace.clone(), pod.name.clone()))
    }
}

/// A label selector (`apimachinery/pkg/apis/meta/v1`: `LabelSelector`).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Selector {
    pub(super) match_labels: BTreeMap<String, String>,
    pub(super) match_expressions: Vec<Requirement>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Requirement {
    pub(super) key: String,
    pub(super) operator: String,
    pub(super) values: Vec<String>,
}

impl Selector {
    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| {
                let value = labels.get(&requirement.key);
                let is_listed = value.is_some_and(|value| requirement.values.contains(value));
                match requirement.operator.as_str() {
                    "In" => is_listed,
                    "NotIn" => !is_listed,
                    "Exists" => value.is_some(),
                    "DoesNotExist" => value.is_none(),
                    // The API server accepts no other operator.
                    _ => false,
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_match_as_in_the_api() {
        let selector: Selector = serde_json::from_value(json!({
            "matchLabels": { "app": "db" },
            "matchExpressions": [
                { "key": "tier", "operator": "In", "values": ["a", "b"] },
                { "key": "old", "operator": "DoesNotExist" },
                { "key": "zone", "operator": "NotIn", "values": ["x"] },
                { "key": "app", "operator": "Exists" },
            ],
        }))
        .unwrap();
        let labels = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        assert!(selector.matches(&labels(&[("app", "db"), ("tier", "b")])));
        assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "b")])));
        assert!(!selector.matches(&labels(&[("app", "db"), ("tier", "c")])));
        assert!(!selector.matches(&labels(&[("app", "db"), ("tier", "a"), ("old", "")])));
        assert!(!selector.matches(&labels(&[("app", "db"), ("tier", "a"), ("zone", "x")])));
    }

    #[test]
    fn destinations_are_those_of_kube_proxy() {
        let destinations = |label: &str, address_type: &str| -> Vec<String> {
            let slice: EndpointSlice = serde_json::from_value(json!({
                "metadata": { "labels": { label: "" } },
                "addressType": address_type,
                "endpoints": [
                    { "addresses": ["10.0.0.1"], "conditions": { "ready": true } },
                    { "addresses": ["10.0.0.2"], "conditions": { "ready": false } },
                    { "addresses": ["10.0.0.3"] },
                ],
                "ports": [{ "port": 80 }, { "name": "all" }],
            }))
            .unwrap();
            slice.destinations().collect()
        };
        assert_eq!(destinations("app", "IPv4"), ["10.0.0.1:80", "10.0.0.3:80"]);
        assert!(destinations("service.kubernetes.io/headless", "IPv4").is_empty());
        assert!(destinations("app", "IPv6").is_empty());
        let empty: EndpointSlice =
            serde_json::from_value(json!({ "addressType": "IPv4", "endpoints": null, "ports": null })).unwrap();
        assert_eq!((empty.destinations().count(), empty.service()), (0, None));
    }

    #[test]
    fn a_pod_that_claims_to_run_since_never_spoils_no_list() {
        let statuses = json!([{ "name": "a", "ready": true, "state": { "running": { "startedAt": null } } }]);
        let pod: Pod = serde_json::from_value(json!({ "status": { "containerStatuses": statuses } })).unwrap();
        assert_eq!(pod.status.container_statuses[0].state.running.as_ref().unwrap().started_at, "");
        let slice = json!({ "addressType": "IPv4", "endpoints": [{ "addresses": null }], "ports": [{ "port": 80 }] });
        assert_eq!(serde_json::from_value::<EndpointSlice>(slice).unwrap().destinations().count(), 0);
    }

    #[test]
    fn static_pods_are_owned_by_their_node_and_have_no_controller() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "etcd-kind",
                "annotations": { "kubernetes.io/config.mirror": "abc" },
                "ownerReferences": [{ "kind": "Node", "controller": true, "name": "kind" }],
            },
        }))
        .unwrap();
        assert!(pod.is_mirror() && !pod.has_controller());
    }
}
