//! A workload that extends Kubernetes: a custom resource, its controller, and webhooks whose certificates were made at the
//! bake. The image holds trust of the bake, and the container has another CA and another key for tokens.
//!
//! `src/operator` holds the programs and a hooks directory as a user would have it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::Endpoint;
use kubake_contract::status::Outcome;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::debian;
use kubake_e2e::engine::{self, Images};
use kubake_e2e::kubectl::Kubectl;
use kubake_e2e::lab::{self, lab};
use kubake_e2e::{PREFIX, openssl, poll};
use serde_json::{Value, json};

use crate::Case;

pub(crate) const CASES: &[Case] =
    &[("a custom resource, its controller and webhooks work in a new container, and after a restart", extended)];

/// The name that the manifests say.
const PROGRAMS: &str = "kubake-e2e/operator:1";
const IMAGE: &str = "kubake-e2e/with-operator:1";
const DOCKERFILE: &str = "
RUN apt-get update -q && apt-get install -qy --no-install-recommends python3 && rm -rf /var/lib/apt/lists/*
COPY controller.py webhook.py /
";
const FILES: &[(&str, &str)] = &[
    ("controller.py", include_str!("../src/operator/controller.py")),
    ("webhook.py", include_str!("../src/operator/webhook.py")),
];
const HOOKS: &str = "src/operator/hooks";
const PATIENCE: Duration = Duration::from_secs(300);
/// Time limit of a controller and a garbage collector that watch.
const RECONCILED: Duration = Duration::from_secs(30);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

fn extended() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([IMAGE, PROGRAMS]);
    debian::build_with(lab()?, PROGRAMS, DOCKERFILE, FILES)?;
    let images = directory.path().join("images.d");
    lab::write(&images.join("list.txt"), format!("docker://{PROGRAMS}\n"))?;
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join(HOOKS);
    let (images, hooks) = (images.to_string_lossy(), hooks.to_string_lossy());
    let arguments = ["bake", "--from", base, "--tag", IMAGE, "--images-dir", &images, "--hooks-dir", &hooks];
    lab()?.run(directory.path(), PATIENCE, arguments)?.success()?;

    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-operator"), &["--image", IMAGE])?;
    works(&cluster, "before", "baked\nbaked").context("in a new container")?;
    let trusted = certificates(&cluster)?;
    engine::run(["restart", cluster.container()])?;
    cluster.wait_ready(PATIENCE)?;
    works(&cluster, "after", "changed: before").context("after a restart")?;
    ensure!(certificates(&cluster)? == trusted, "after a restart the webhooks have other certificates");
    Ok(())
}

/// All that an operator does, once, right after the cluster became ready; `content` is what the baked Gadget's ConfigMap
/// held last.
fn works(cluster: &Cluster, when: &str, content: &str) -> Result<()> {
    let kubectl = &cluster.kubectl()?;
    // Webhooks first, with one request: ready means that they are reached.
    let refused = kubectl.output(create(cluster, "gadget.json", &gadget("greedy", "x", 11))?)?;
    is_refused(
        &refused,
        "\"gadgets.kubake.example\" denied the request: gadget greedy wants 11 copies; the most is 10",
    )?;
    kubectl.run(create(cluster, "gadget.json", &gadget(when, "new", 3))?)?;
    let refused = kubectl.output(create(cluster, "pod.json", &pod("unwanted", "yes"))?)?;
    is_refused(&refused, "\"pods.kubake.example\" denied the request: unwanted pods are not run here")?;
    kubectl.run(create(cluster, "pod.json", &pod(when, "no"))?)?;

    // Objects that were reconciled before are unchanged.
    let status = kubectl.json(["get", "gadget", "baked", "early"])?;
    for gadget in status["items"].as_array().context("a list of Gadgets without items")? {
        ensure!(gadget["status"]["phase"] == "Ready", "a Gadget of the bake is not reconciled: {gadget}");
    }
    let before = config_map(kubectl, "baked")?;
    ensure!(before["data"]["content"] == content, "the baked Gadget's ConfigMap is {before}");
    let columns = kubectl.run(["get", "gadgets"])?;
    ensure!(columns.lines().any(|line| line.split_whitespace().eq(["early", "1", "Ready"])), "{columns}");

    // New and changed objects are reconciled.
    reconciled(kubectl, when, "new\nnew\nnew")?;
    let text = format!("changed: {when}");
    let change = json!({ "spec": { "text": text, "copies": 1 } }).to_string();
    kubectl.run(["patch", "gadget", "baked", "--type=merge", "--patch", &change])?;
    reconciled(kubectl, "baked", &text)?;
    let refused =
        kubectl.output(["patch", "gadget", "baked", "--type=merge", "--patch", r#"{"spec":{"copies":20}}"#])?;
    is_refused(&refused, "gadget baked wants 20 copies")?;

    let owner = config_map(kubectl, when)?["metadata"]["ownerReferences"][0].clone();
    ensure!(owner["kind"] == "Gadget" && owner["name"] == when, "its owner is {owner}");
    kubectl.run(["delete", "gadget", when])?;
    poll::until("the garbage collector deleted what a Gadget owned", RECONCILED, || {
        let left = kubectl.run(["get", "configmap", &format!("gadget-{when}"), "--ignore-not-found"])?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })?;

    // The hook of this boot created one at the very moment of readiness.
    reconciled(kubectl, "at-ready", "at once").context("the one from the hook of kubernetes-ready")?;
    let hooks = cluster.status()?.hooks;
    ensure!(hooks.len() == 1 && hooks[0].outcome == Outcome::Done, "the hooks of the boot: {hooks:?}");
    Ok(())
}

/// Checks that webhooks are trusted by what was baked and the cluster is not; returns the certificates that they serve.
fn certificates(cluster: &Cluster) -> Result<[String; 2]> {
    let kubectl = cluster.kubectl()?;
    let configuration = kubectl.json(["get", "validatingwebhookconfiguration", "operator"])?;
    let bundle = |at: usize| configuration["webhooks"][at]["clientConfig"]["caBundle"].as_str().unwrap_or_default();
    let [own, clusters] = [("own-authority", bundle(0)), ("cluster-authority", bundle(1))].map(|(file, bundle)| {
        let baked = cluster.node(&["cat", &format!("/etc/operator/{file}")])?;
        ensure!(baked.trim() == bundle, "the caBundle is not the {file} of the bake: {bundle}");
        decode(bundle)
    });
    let (own, clusters) = (own?, clusters?);
    let present = cluster.fetch(Endpoint::CaCert.path())?;
    ensure!(
        openssl::public_key(&present)? != openssl::public_key(&clusters)?,
        "the cluster's CA is the one of the bake: {present}"
    );
    let served = |secret: &str, authority: &str| -> Result<String> {
        let path = r"jsonpath={.data.tls\.crt}";
        let certificate =
            decode(&kubectl.run(["get", "secret", secret, "--namespace", "operator", "--output", path])?)?;
        openssl::verify(authority, &certificate).with_context(|| format!("the certificate in `{secret}`"))?;
        // An image outlives the year after which Kubernetes lets certificates end.
        ensure!(openssl::is_valid_after(&certificate, 9 * YEAR)?, "`{secret}` ends too soon: {certificate}");
        Ok(certificate)
    };
    Ok([served("gadgets-certificate", &own)?, served("pods-certificate", &clusters)?])
}

fn decode(base64: &str) -> Result<String> {
    let bytes = STANDARD.decode(base64).with_context(|| format!("no base64: {base64}"))?;
    String::from_utf8(bytes).context("a certificate is no text")
}

fn is_refused(refused: &kubake_e2e::process::Output, reason: &str) -> Result<()> {
    ensure!(!refused.status.success() && refused.stderr.contains(reason), "it does not say {reason:?}: {refused}");
    Ok(())
}

fn config_map(kubectl: &Kubectl, gadget: &str) -> Result<Value> {
    kubectl.json(["get", "configmap", &format!("gadget-{gadget}")])
}

/// Waits until a Gadget's ConfigMap holds `content`, and its status names its present generation.
fn reconciled(kubectl: &Kubectl, name: &str, content: &str) -> Result<()> {
    poll::until(&format!("Gadget `{name}` is reconciled"), RECONCILED, || {
        let gadget = kubectl.json(["get", "gadget", name])?;
        let is_observed = gadget["status"]["observedGeneration"] == gadget["metadata"]["generation"];
        ensure!(is_observed && gadget["status"]["phase"] == "Ready", "it is {gadget}");
        let made = config_map(kubectl, name)?;
        ensure!(made["data"]["content"] == content, "its ConfigMap is {made}");
        Ok(())
    })
    .with_context(|| {
        let log = ["logs", "deployment/controller", "--namespace", "operator", "--tail=20"];
        format!("the controller says:\n{}", kubectl.run(log).unwrap_or_else(|error| format!("{error:#}")))
    })
}

/// The arguments that create an object.
fn create(cluster: &Cluster, file: &str, object: &Value) -> Result<[String; 3]> {
    let file = cluster.directory().join(file);
    lab::write(&file, object.to_string())?;
    Ok(["create".to_owned(), "--filename".to_owned(), file.to_string_lossy().into_owned()])
}

fn gadget(name: &str, text: &str, copies: u32) -> Value {
    json!({
        "apiVersion": "kubake.example/v1",
        "kind": "Gadget",
        "metadata": { "name": name, "namespace": "default" },
        "spec": { "text": text, "copies": copies },
    })
}

/// A pod that ends at once; only whether it may be created matters.
fn pod(name: &str, unwanted: &str) -> Value {
    let container = json!({ "name": "pod", "image": PROGRAMS, "imagePullPolicy": "IfNotPresent", "command": ["true"] });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "default", "labels": { "kubake.example/unwanted": unwanted } },
        "spec": { "restartPolicy": "Never", "containers": [container] },
    })
}
