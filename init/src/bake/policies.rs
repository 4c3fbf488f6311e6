//! Refuses workloads whose images every boot would have to pull again: without a network their cluster never gets ready, and
//! the image is in the node all the while. Changes no workload.

use serde_json::Value;

use crate::api::Client;
use crate::phases::BoxError;

/// The kinds of objects that start pods at a boot, where they are listed, and where in them the pods' spec is.
const KINDS: [(&str, &str, &str); 5] = [
    ("Deployment", "/apis/apps/v1/deployments", "/spec/template/spec"),
    ("DaemonSet", "/apis/apps/v1/daemonsets", "/spec/template/spec"),
    ("StatefulSet", "/apis/apps/v1/statefulsets", "/spec/template/spec"),
    ("CronJob", "/apis/batch/v1/cronjobs", "/spec/jobTemplate/spec/template/spec"),
    ("Pod", "/api/v1/pods", "/spec"),
];

/// Fails if a workload has `imagePullPolicy: Always`; with all their names.
pub(super) async fn refuse_always(client: &Client) -> Result<(), BoxError> {
    let mut found = Vec::new();
    for (kind, path, spec) in KINDS {
        found.extend(pulling(kind, &client.get::<Value>(path).await?, spec));
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(format!(
        "every boot would pull images again that are baked, and without a network never get ready: {}; set \
         `imagePullPolicy: IfNotPresent` (`Always` is the default of images without a tag or with `:latest`)",
        found.join(", ")
    )
    .into())
}

fn pulling(kind: &str, list: &Value, spec: &str) -> Vec<String> {
    let mut found = Vec::new();
    for object in list["items"].as_array().into_iter().flatten() {
        let metadata = &object["metadata"];
        // Its controller is the one to name; a pod that is over is not started again.
        let is_owned = metadata["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
        let is_over = ["Succeeded", "Failed"].iter().any(|phase| object["status"]["phase"] == *phase);
        let Some(spec) = object.pointer(spec).filter(|_| kind != "Pod" || !(is_owned || is_over)) else { continue };
        let containers =
            ["initContainers", "containers"].into_iter().filter_map(|field| spec[field].as_array()).flatten();
        for container in containers.filter(|container| container["imagePullPolicy"] == "Always") {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            found.push(format!(
                "{kind} {}/{} (image `{}`)",
                text(&metadata["namespace"]),
                text(&metadata["name"]),
                text(&container["image"])
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_workload_that_pulls_at_every_boot_is_named() {
        let containers = |policy: &str| json!([{ "image": "a:1", "imagePullPolicy": "IfNotPresent" }, { "image": "b", "imagePullPolicy": policy }]);
        let object = |name: &str, spec: Value, owners: Value| json!({ "metadata": { "namespace": "n", "name": name, "ownerReferences": owners }, "spec": spec });
        let template = |policy: &str| json!({ "template": { "spec": { "containers": containers(policy) } } });
        let list = json!({ "items": [object("web", template("Always"), json!([])), object("db", template("Never"), json!([]))] });
        assert_eq!(pulling("Deployment", &list, KINDS[0].2), ["Deployment n/web (image `b`)"]);
        let pod = json!({ "initContainers": containers("Always"), "containers": [] });
        let mut over = object("over", pod.clone(), Value::Null);
        over["status"] = json!({ "phase": "Succeeded" });
        let owned = object("owned", pod.clone(), json!([{ "kind": "ReplicaSet" }]));
        let list = json!({ "items": [object("bare", pod, Value::Null), over, owned] });
        assert_eq!(pulling("Pod", &list, "/spec"), ["Pod n/bare (image `b`)"]);
        let cron = json!({ "items": [object("nightly", json!({ "jobTemplate": { "spec": template("Always") } }), Value::Null)] });
        assert_eq!(pulling("CronJob", &cron, KINDS[3].2), ["CronJob n/nightly (image `b`)"]);
    }
}
