//! Judges claims: whether a volume has to be made for one, and of which form. Pure.

use serde_json::{Value, json};

/// The name under which StorageClasses ask for this controller.
pub(crate) const PROVISIONER: &str = "kubake/local";
/// How a volume says which controller made it.
pub(super) const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
/// The controller manager's request for a volume, under its present and former name
/// (`k8s.io/component-helpers/storage/volume`).
const REQUESTS: [&str; 2] =
    ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"];
/// The scheduler's choice for a claim whose class waits for the first consumer.
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What has to be done for a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing, or nothing yet.
    Wait,
    /// A volume of this class has to be made.
    Make { class: String },
    /// It asks for what no local directory can be.
    Refuse { reason: &'static str },
}

/// Judges a claim; `node` is this node's name.
pub(super) fn judge(claim: &Value, node: &str) -> Decision {
    let metadata = &claim["metadata"];
    let note = |name: &str| metadata["annotations"][name].as_str();
    let spec = &claim["spec"];
    let is_asked = REQUESTS.iter().any(|request| note(request) == Some(PROVISIONER));
    let is_bound = spec["volumeName"].as_str().is_some_and(|name| !name.is_empty());
    if !is_asked || is_bound || !metadata["deletionTimestamp"].is_null() {
        return Decision::Wait;
    }
    if note(SELECTED_NODE).is_some_and(|selected| selected != node) {
        return Decision::Wait;
    }
    if spec["volumeMode"] == "Block" {
        return Decision::Refuse { reason: "volumes of this class are directories, volumeMode Block needs a device" };
    }
    if !spec["selector"].is_null() {
        return Decision::Refuse { reason: "a claim with a selector waits for a volume that a user makes" };
    }
    if !spec["dataSource"].is_null() || !spec["dataSourceRef"].is_null() {
        return Decision::Refuse { reason: "volumes of this class cannot be made from a snapshot or another volume" };
    }
    match spec["storageClassName"].as_str() {
        Some(class) if !class.is_empty() => Decision::Make { class: class.to_owned() },
        _ => Decision::Wait,
    }
}

/// Whether the scheduler still has to choose the node: a class that waits for the first consumer.
pub(super) fn waits_for_consumer(claim: &Value, class: &Value) -> bool {
    class["volumeBindingMode"] == "WaitForFirstConsumer" && claim["metadata"]["annotations"][SELECTED_NODE].is_null()
}

/// An event that says why no volume is made.
pub(super) fn refusal(claim: &Value, reason: &str) -> Value {
    let metadata = &claim["metadata"];
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "generateName": format!("{}.", metadata["name"].as_str().unwrap_or_default()) },
        "involvedObject": {
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"],
        },
        "type": "Warning",
        "reason": "ProvisioningFailed",
        "message": reason,
        "count": 1,
        "source": { "component": PROVISIONER },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Value {
        json!({
            "metadata": { "name": "data", "annotations": { REQUESTS[0]: PROVISIONER, SELECTED_NODE: "here" } },
            "spec": { "storageClassName": "standard", "accessModes": ["ReadWriteOnce"] },
        })
    }

    #[test]
    fn a_volume_is_made_when_the_scheduler_chose_this_node() {
        let with = |pointer: &str, value: Value| {
            let mut claim = claim();
            *claim.pointer_mut(pointer).unwrap() = value;
            judge(&claim, "here")
        };
        assert_eq!(judge(&claim(), "here"), Decision::Make { class: "standard".to_owned() });
        assert_eq!(judge(&claim(), "there"), Decision::Wait);
        assert_eq!(with("/metadata/annotations", json!({ REQUESTS[0]: "other" })), Decision::Wait);
        assert_eq!(with("/spec", json!({ "storageClassName": "standard", "volumeName": "pvc-1" })), Decision::Wait);
        for spec in [json!({ "volumeMode": "Block" }), json!({ "selector": {} }), json!({ "dataSource": {} })] {
            assert!(matches!(with("/spec", spec), Decision::Refuse { .. }));
        }
        let (waiting, at_once) = (json!({ "volumeBindingMode": "WaitForFirstConsumer" }), json!({}));
        let unscheduled = json!({ "metadata": { "annotations": {} } });
        assert!(waits_for_consumer(&unscheduled, &waiting) && !waits_for_consumer(&claim(), &waiting));
        assert!(!waits_for_consumer(&unscheduled, &at_once));
    }
}
