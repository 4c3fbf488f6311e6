//! The objects that cases create, as JSON. All containers run the probe (see [`crate::probe`]).

use serde_json::{Value, json};

/// The node port of [`node_port_service`], which the shared cluster publishes.
pub const NODE_PORT: u16 = 30080;
/// The port on which servers listen in their pods.
pub const POD_PORT: u16 = 8080;
/// The port of services.
pub const SERVICE_PORT: u16 = 80;

fn pod_spec(image: &str, arguments: &[&str]) -> Value {
    json!({
        // The probe ends at once on SIGTERM; the case that stops a node has a pod that does not.
        "terminationGracePeriodSeconds": 5,
        "containers": [{
            "name": "probe",
            "image": image,
            // There is no registry; nothing may be pulled.
            "imagePullPolicy": "IfNotPresent",
            "args": arguments,
        }],
    })
}

/// A pod that runs the probe with these arguments and is not started again.
#[must_use]
pub fn pod(name: &str, image: &str, arguments: &[&str]) -> Value {
    let mut spec = pod_spec(image, arguments);
    spec["restartPolicy"] = "Never".into();
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": name } }, "spec": spec })
}

/// A pod that serves `text` over HTTP.
#[must_use]
pub fn server(name: &str, image: &str, text: &str) -> Value {
    let mut pod = pod(name, image, &["serve", &POD_PORT.to_string(), text]);
    pod["spec"]["containers"][0]["readinessProbe"] = readiness_probe();
    pod
}

fn readiness_probe() -> Value {
    json!({ "httpGet": { "path": "/", "port": POD_PORT }, "periodSeconds": 1 })
}

/// A deployment of servers of `text`.
#[must_use]
pub fn deployment(name: &str, image: &str, text: &str, replicas: u32) -> Value {
    let mut spec = pod_spec(image, &["serve", &POD_PORT.to_string(), text]);
    spec["containers"][0]["readinessProbe"] = readiness_probe();
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": { "metadata": { "labels": { "app": name } }, "spec": spec },
        },
    })
}

/// A service of the pods with `name` as their `app` label.
#[must_use]
pub fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": name },
        "spec": { "selector": { "app": name }, "ports": [{ "port": SERVICE_PORT, "targetPort": POD_PORT }] },
    })
}

/// As [`service`], also on [`NODE_PORT`] of the node.
#[must_use]
pub fn node_port_service(name: &str) -> Value {
    let mut service = service(name);
    service["spec"]["type"] = "NodePort".into();
    service["spec"]["ports"][0]["nodePort"] = NODE_PORT.into();
    service
}

/// A claim of the default storage class.
#[must_use]
pub fn claim(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": { "name": name },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "10Mi" } } },
    })
}

/// A pod as [`pod`] makes it, with a claim mounted at `/data`.
#[must_use]
pub fn pod_with_claim(name: &str, image: &str, arguments: &[&str], claim: &str) -> Value {
    let mut pod = pod(name, image, arguments);
    pod["spec"]["volumes"] = json!([{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "data", "mountPath": "/data" }]);
    pod
}
