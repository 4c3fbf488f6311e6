//! Complete evidence, from which each test removes or changes one part.

use kubake_contract::names;
use serde_json::{Value, json};

use super::*;
use crate::readiness::known::{Change, learn};
use crate::role::control_plane::EXPECTED;

const BOOT: &str = "2026-11-22T10:00:00.500Z";
const AFTER: &str = "2026-11-22T10:00:00Z";
const MINUTE: Duration = Duration::from_secs(60);
const BAKE: &str = "2026-11-01T08:00:00Z";

fn pod(name: &str, labels: &Value, started: &str, is_ready: bool) -> Pod {
    serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "kube-system", "labels": labels },
        "status": {
            "phase": "Running",
            "podIPs": [{ "ip": "10.244.0.5" }],
            "conditions": [{ "type": "Ready", "status": if is_ready { "True" } else { "False" } }],
            "containerStatuses": [{ "name": name, "ready": is_ready, "state": { "running": { "startedAt": started } } }],
        },
    }))
    .unwrap()
}

fn coredns(started: &str, is_ready: bool) -> Pod {
    pod("coredns", &json!({ "app": "dns" }), started, is_ready)
}

fn lease(renewed: &str) -> Lease {
    serde_json::from_value(json!({ "spec": { "renewTime": renewed } })).unwrap()
}

fn deployment(replicas: u32) -> Workload {
    serde_json::from_value(json!({
        "metadata": { "name": "coredns", "namespace": "kube-system" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": { "app": "dns" } } },
    }))
    .unwrap()
}

fn slice(address: &str, is_ready: bool) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": { "name": "dns-1", "namespace": "kube-system", "labels": {
            "kubernetes.io/service-name": "dns",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        } },
        "addressType": "IPv4",
        "endpoints": [{
            "addresses": [address],
            "conditions": { "ready": is_ready },
            "targetRef": { "kind": "Pod", "namespace": "kube-system", "name": "coredns" },
        }],
        "ports": [{ "port": 53 }],
    }))
    .unwrap()
}

fn kube_proxy() -> Entry {
    Entry { kind: "DaemonSet".to_owned(), namespace: "kube-system".to_owned(), name: "kube-proxy".to_owned() }
}

fn put(evidence: &mut Evidence, pod: Pod) {
    learn(&mut evidence.pods, Change::Changed(pod));
}

/// Complete evidence, with an inventory of one Deployment and the control plane.
fn complete(now: Instant) -> Evidence {
    let mut inventory = Inventory {
        static_pods: Inventory::of_static_pods(EXPECTED.static_pods, &names::CONTROL_PLANE),
        ..Inventory::default()
    };
    inventory.workloads.insert(Entry::new("Deployment", &deployment(1).metadata));
    inventory.workloads.insert(kube_proxy());
    inventory.services.extend(service_of(&slice("10.244.0.5", true)));
    let boot = humantime::parse_rfc3339(BOOT).unwrap();
    let mut evidence = Evidence::new(
        &Scope { boot: (now, boot), inventory: Some(inventory), expected: &EXPECTED },
        names::CONTROL_PLANE,
    );
    evidence.at(now + MINUTE, boot + MINUTE);
    evidence.api = Some(Ok(()));
    evidence.learn_lease(&lease("2026-11-22T10:00:03.123456Z"), now);
    let node = json!({
        "metadata": { "name": "kind" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    });
    learn(&mut evidence.nodes, Change::Listed(vec![serde_json::from_value(node).unwrap()]));
    for entry in Inventory::of_static_pods(EXPECTED.static_pods, &names::CONTROL_PLANE) {
        put(&mut evidence, pod(&entry.name, &json!({}), AFTER, true));
    }
    put(&mut evidence, coredns(AFTER, true));
    for kind in WorkloadKind::ALL {
        let listed = if kind == WorkloadKind::Deployment { vec![deployment(1)] } else { Vec::new() };
        learn(evidence.workloads.entry(kind).or_default(), Change::Listed(listed));
    }
    learn(&mut evidence.slices, Change::Listed(vec![slice("10.244.0.5", true)]));
    evidence.answers = EXPECTED.questions.iter().map(|question| (*question, Ok(()))).collect();
    evidence
}

#[test]
fn complete_evidence_is_enough() {
    let now = Instant::now();
    assert_eq!(complete(now).missing(now), Vec::<String>::new());
}

#[test]
fn times_from_the_bake_prove_nothing() {
    let now = Instant::now();
    let mut evidence = complete(now);
    evidence.lease = None;
    evidence.learn_lease(&lease(BAKE), now);
    put(&mut evidence, coredns(BAKE, true));
    assert_eq!(
        evidence.missing(now),
        [
            "kubelet has not renewed the node's lease in this boot",
            "Deployment kube-system/coredns has 0 of 1 pods ready: \
             pod kube-system/coredns: container coredns has not started in this boot",
        ]
    );
}

#[test]
fn times_from_a_bake_in_the_future_prove_nothing() {
    let now = Instant::now();
    let mut evidence = complete(now);
    put(&mut evidence, coredns("2026-11-23T10:00:00Z", true));
    let missing = evidence.missing(now);
    assert!(missing.len() == 1 && missing[0].contains("has not started in this boot"), "{missing:?}");
}

#[test]
fn setting_the_clock_invalidates_nothing() {
    let now = Instant::now();
    for (wall, started) in
        [("2026-11-23T10:00:00Z", "2026-11-23T09:59:59Z"), ("2026-11-20T10:01:00Z", "2026-11-20T10:00:59Z")]
    {
        let mut evidence = complete(now);
        evidence.at(now + MINUTE, humantime::parse_rfc3339(wall).unwrap());
        assert_eq!(evidence.missing(now), Vec::<String>::new(), "what started before the clock was set");
        put(&mut evidence, coredns(started, true));
        assert_eq!(evidence.missing(now), Vec::<String>::new(), "and what started after");
    }
}

#[test]
fn a_lease_that_is_not_renewed_expires() {
    let now = Instant::now();
    let mut evidence = complete(now);
    let late = evidence.expires().unwrap();
    assert_eq!(evidence.missing(late), ["kubelet does not renew the node's lease any more"]);
    evidence.learn_lease(&lease("2026-11-22T10:00:03.123456Z"), late);
    assert_eq!(evidence.missing(late).len(), 1, "the same renewal again is none");
    evidence.learn_lease(&lease("2026-11-22T10:00:33Z"), late);
    assert_eq!(evidence.missing(late), Vec::<String>::new());
}

#[test]
fn each_missing_piece_is_named() {
    let now = Instant::now();
    let mut evidence = complete(now);
    evidence.answers.insert(Question::Dns, Err("timed out".to_owned()));
    evidence.answers.remove(&Question::Scheduler);
    assert_eq!(
        evidence.missing(now),
        ["kube-scheduler has not answered yet", "the cluster's DNS does not answer as it should: timed out",]
    );
    evidence.nodes = Some(BTreeMap::new());
    assert_eq!(evidence.missing(now), ["the node does not exist"]);
    evidence.api = Some(Err("etcd failed".to_owned()));
    assert_eq!(evidence.missing(now), ["the API server is not ready: etcd failed"]);
    evidence.daemons = vec!["kubelet does not run".to_owned()];
    assert_eq!(evidence.missing(now), ["kubelet does not run", "the API server is not ready: etcd failed"]);
}

#[test]
fn a_static_pod_that_is_gone_is_missing() {
    let now = Instant::now();
    let mut evidence = complete(now);
    learn(&mut evidence.pods, Change::Gone(pod("kube-scheduler-kind", &json!({}), AFTER, true)));
    let missing = evidence.missing(now);
    assert!(missing.len() == 1 && missing[0].contains("kube-scheduler-kind does not run"), "{missing:?}");
}

#[test]
fn workloads_want_their_counts() {
    let now = Instant::now();
    let mut evidence = complete(now);
    learn(&mut evidence.pods, Change::Gone(coredns(AFTER, true)));
    assert_eq!(
        evidence.missing(now),
        ["Deployment kube-system/coredns has 0 of 1 pods ready: there are no more of them"]
    );
    let mut pending = coredns(AFTER, false);
    pending.status.container_statuses.clear();
    "Pending".clone_into(&mut pending.status.phase);
    pending.status.conditions = serde_json::from_value(json!([
        { "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" },
    ]))
    .unwrap();
    put(&mut evidence, pending);
    assert_eq!(
        evidence.missing(now),
        ["Deployment kube-system/coredns has 0 of 1 pods ready: \
          pod kube-system/coredns has no containers yet (0/1 nodes are available)"]
    );
    learn(evidence.workloads.entry(WorkloadKind::Deployment).or_default(), Change::Changed(deployment(0)));
    assert_eq!(evidence.missing(now), Vec::<String>::new());
}

#[test]
fn services_lead_to_the_pods_of_this_boot() {
    let now = Instant::now();
    let mut evidence = complete(now);
    assert_eq!(evidence.destinations().into_iter().collect::<Vec<_>>(), ["10.244.0.5:53"]);
    for (address, is_ready) in [("10.244.0.2", true), ("10.244.0.5", false)] {
        learn(&mut evidence.slices, Change::Changed(slice(address, is_ready)));
        assert_eq!(evidence.missing(now), ["service kube-system/dns does not lead to pod kube-system/coredns yet"]);
    }
    evidence.inventory.as_mut().unwrap().services.clear();
    assert_eq!(evidence.missing(now), Vec::<String>::new(), "services of users do not count");
    assert!(evidence.destinations().is_empty());
    evidence.slices = None;
    assert_eq!(evidence.missing(now), ["the EndpointSlices have not been listed in this boot"]);
}

#[test]
fn pods_of_users_do_not_count_except_at_the_bake() {
    let now = Instant::now();
    let mut evidence = complete(now);
    put(&mut evidence, pod("theirs", &json!({}), AFTER, false));
    assert_eq!(evidence.missing(now), Vec::<String>::new());
    evidence.inventory = None;
    assert_eq!(evidence.missing(now), ["pod kube-system/theirs: container theirs is running but not ready"]);
}

#[test]
fn completed_evicted_and_deleted_pods_are_tolerated() {
    let now = Instant::now();
    let mut evidence = complete(now);
    evidence.inventory = None;
    for (name, phase) in [("job", "Succeeded"), ("evicted", "Failed")] {
        let mut pod = pod(name, &json!({}), BAKE, false);
        phase.clone_into(&mut pod.status.phase);
        put(&mut evidence, pod);
    }
    let mut deleted = pod("gone", &json!({}), BAKE, false);
    deleted.metadata.deletion_timestamp = Some(AFTER.to_owned());
    put(&mut evidence, deleted);
    assert_eq!(evidence.missing(now), Vec::<String>::new());
}

#[test]
fn the_inventory_of_a_bake_is_what_runs() {
    let inventory = complete(Instant::now()).inventory();
    assert_eq!(inventory.workloads.len(), 1);
    assert!(inventory.workloads.iter().all(|entry| entry.kind == "Deployment" && entry.name == "coredns"));
    assert!(inventory.services.iter().map(|entry| entry.name.as_str()).eq(["dns"]));
}

#[test]
fn a_kube_proxy_that_the_image_does_not_have_is_not_asked() {
    let now = Instant::now();
    let mut evidence = complete(now);
    evidence.answers.insert(Question::KubeProxy, Err("connection refused".to_owned()));
    assert_eq!(evidence.missing(now), ["kube-proxy does not answer as it should: connection refused"]);
    evidence.inventory.as_mut().unwrap().workloads.remove(&kube_proxy());
    assert_eq!(evidence.missing(now), Vec::<String>::new());
    // During the bake there is no inventory yet.
    evidence.inventory = None;
    assert_eq!(evidence.missing(now), Vec::<String>::new(), "{:?}", evidence.workloads);
}
