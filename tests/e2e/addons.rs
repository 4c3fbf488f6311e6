//! Add-ons: what a bake adds by name, and that it works in a cluster that boots from the image.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::exit;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::engine::{self, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::{PREFIX, http, manifests, poll};
use serde_json::{Value, json};

use crate::bad_input::refusal;
use crate::bake::hook;
use crate::{Case, probe_program};

pub(crate) const CASES: &[Case] = &[
    ("an unknown add-on is refused with a list of those that exist", unknown),
    ("metrics-server, helm and ingress are baked in, and work as soon as the cluster is ready", baked),
];

const IMAGE: &str = "kubake-e2e/addons:1";
const CHARTED: &str = "kubake-e2e/charted:1";
/// A bake that compiles three more components.
const BAKE_PATIENCE: Duration = Duration::from_secs(30 * 60);
const PATIENCE: Duration = Duration::from_secs(60);
/// metrics-server samples kubelet every 15 s, and a figure needs two samples.
const METRICS_PATIENCE: Duration = Duration::from_secs(60);

fn unknown() -> Result<()> {
    let directory = lab()?.directory()?;
    for command in ["bake", "up"] {
        let arguments = [command, "--addon", "metrics", "--addon", "helm"];
        let output = lab()?.run(directory.path(), PATIENCE, arguments)?;
        refusal(
            output,
            exit::USAGE,
            &["--addon: `metrics` is not an add-on; choose from helm, ingress, metrics-server"],
        )?;
    }
    Ok(())
}

fn baked() -> Result<()> {
    let base = lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([IMAGE, CHARTED]);
    probe::build(probe_program(), CHARTED, Recipe::Plain("by a chart"), None)?;
    let (images, hooks) = (directory.path().join("images.d"), directory.path().join("hooks"));
    lab::write(&images.join("list.txt"), format!("docker://{CHARTED}\n"))?;
    chart(&hooks.join("after-cluster/chart"))?;
    hook(&hooks.join("after-cluster/10-chart"), "helm upgrade --install web ./chart --wait --timeout 3m\n")?;

    let (images, hooks) = (images.to_string_lossy(), hooks.to_string_lossy());
    let arguments = [
        ["bake", "--json", "--from", base, "--tag", IMAGE, "--images-dir", &images, "--hooks-dir", &hooks].as_slice(),
        &["--addon", "metrics-server", "--addon", "helm", "--addon", "ingress"],
    ]
    .concat();
    let bake = || -> Result<Value> {
        let text = lab()?.run(directory.path(), BAKE_PATIENCE, &arguments)?.success()?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    };
    let first = bake()?;
    ensure!(first["cached"] == false, "{first}");
    let second = bake()?;
    ensure!(second["cached"] == true && second["id"] == first["id"], "the same again: {second}");

    let name = format!("{PREFIX}-addons");
    let other =
        ["up", "--name", &name, "--api-port", "auto", "--http-port", "auto", "--image", base, "--addon", "helm"];
    let output = lab()?.run(directory.path(), PATIENCE, other)?;
    ensure!(output.status.code() == Some(1) && output.stderr.contains("addons: wanted helm, baked none"), "{output}");

    let arguments = ["--image", IMAGE, "--addon", "metrics-server", "--publish", "auto:80"];
    let cluster = Cluster::up(lab()?, &name, &arguments)?;
    // One request: ready means that the release exists.
    let releases = cluster.node(&["helm", "list", "--output", "json"])?;
    let releases: Value = serde_json::from_str(&releases).with_context(|| format!("no JSON: {releases}"))?;
    ensure!(releases[0]["name"] == "web" && releases[0]["status"] == "deployed", "{releases}");
    let kubectl = cluster.kubectl()?;
    let ready = kubectl.run(["get", "deployment", "web", "--output", "jsonpath={.status.readyReplicas}"])?;
    ensure!(ready == "1", "{ready:?} pods of the chart are ready");
    let answer = http::get(engine::published(cluster.container(), 80)?, "/")?.expect(200)?;
    ensure!(answer == "by a chart\n", "its Ingress leads to {answer:?}");

    for arguments in [&["top", "nodes", "--no-headers"][..], &["top", "pods", "--all-namespaces", "--no-headers"]] {
        let metrics = poll::until("metrics are served", METRICS_PATIENCE, || {
            let metrics = kubectl.run(arguments)?;
            // The figures of the node include all its pods; a single pod may use less than a thousandth of a processor.
            ensure!(metrics.lines().count() > 0 && metrics.lines().all(has_numbers), "{metrics}");
            Ok(metrics)
        })?;
        let name = if arguments.contains(&"nodes") { "kind " } else { "metrics-server-" };
        ensure!(metrics.contains(name), "{metrics}");
    }
    let label = engine::run(["image", "inspect", "--format", "{{index .Config.Labels \"io.kubake.addons\"}}", IMAGE])?;
    ensure!(label == "helm,ingress,metrics-server", "the image's label says {label:?}");
    Ok(())
}

/// Whether a line of `kubectl top` says how much processor time and memory something uses.
fn has_numbers(line: &str) -> bool {
    let is_amount = |word: &str, unit| word.strip_suffix(unit).is_some_and(|number| number.parse::<u64>().is_ok());
    line.split_whitespace().any(|word| is_amount(word, "m"))
        && line.split_whitespace().any(|word| is_amount(word, "Mi"))
}

/// A chart with one Deployment, which uses a value, and with a Service and an Ingress that lead to it.
fn chart(directory: &Path) -> Result<()> {
    lab::write(&directory.join("Chart.yaml"), "apiVersion: v2\nname: web\nversion: 0.1.0\n")?;
    lab::write(&directory.join("values.yaml"), "replicas: 1\n")?;
    let mut deployment = manifests::deployment("web", CHARTED, "by a chart", 1);
    deployment["spec"]["replicas"] = "REPLICAS".into();
    let template = deployment.to_string().replace("\"REPLICAS\"", "{{ .Values.replicas }}");
    lab::write(&directory.join("templates/web.yaml"), template)?;
    lab::write(&directory.join("templates/service.yaml"), manifests::service("web").to_string())?;
    let backend = json!({ "service": { "name": "web", "port": { "number": manifests::SERVICE_PORT } } });
    let path = json!({ "path": "/", "pathType": "Prefix", "backend": backend });
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": "web" },
        "spec": { "rules": [{ "http": { "paths": [path] } }] },
    });
    lab::write(&directory.join("templates/ingress.yaml"), ingress.to_string())
}
