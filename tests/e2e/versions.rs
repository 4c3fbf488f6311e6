//! Other versions of Kubernetes than the default one: baked from source, booted, used. Only where `KUBAKE_E2E_VERSIONS` asks
//! for them, `oldest` or `all`, because each that was not baked here before is compiled for ten minutes and more.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::lab::lab;
use kubake_e2e::{PREFIX, engine, manifests, poll};
use serde_json::Value;

use crate::{Case, PROBE, build_probe, restart};

pub(crate) const CASES: &[Case] = &[("an older Kubernetes is baked by its minor release, boots and works", older)];

/// Those that are not the default.
const MINORS: [&str; 2] = ["1.34", "1.35"];
const VARIABLE: &str = "KUBAKE_E2E_VERSIONS";
/// A bake that compiles Kubernetes.
const BAKE_PATIENCE: Duration = Duration::from_secs(45 * 60);

/// Whether this run asks for other versions.
pub(crate) fn is_asked_for() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|value| !value.is_empty())
}

fn older() -> Result<()> {
    lab()?.image()?;
    let count = match std::env::var_os(VARIABLE).unwrap_or_default().to_str() {
        Some("oldest") => 1,
        Some("all") => MINORS.len(),
        other => bail!("{VARIABLE} is {other:?}; it can only be `oldest` or `all`"),
    };
    MINORS[..count].iter().try_for_each(|minor| works(minor).with_context(|| format!("Kubernetes {minor}")))
}

fn works(minor: &str) -> Result<()> {
    let directory = lab()?.directory()?;
    let bake = ["bake", "--json", "--kubernetes-version", minor];
    let baked = lab()?.run(directory.path(), BAKE_PATIENCE, bake)?.success()?;
    let baked: Value = serde_json::from_str(&baked).with_context(|| format!("no JSON: {baked}"))?;
    let image = format!("kubake:latest-{minor}");
    ensure!(baked["image"] == image.as_str(), "{baked}");
    let tag = baked["tags"][0].as_str().with_context(|| format!("no further tag: {baked}"))?;
    let version = tag.strip_prefix("kubake:").with_context(|| format!("a tag of its own: {tag}"))?;
    ensure!(version.starts_with(&format!("v{minor}.")), "the image of {minor} goes by {tag}");
    let id = |image: &str| engine::run(["image", "inspect", "--format", "{{.Id}}", image]);
    ensure!(id(tag)? == id(&image)?, "{tag} and {image} are two images");

    let cluster = Cluster::up(lab()?, &format!("{PREFIX}-version"), &["--kubernetes-version", minor])?;
    let kubectl = cluster.kubectl()?;
    ensure!(kubectl.json(["version"])?["serverVersion"]["gitVersion"] == version, "the API server is another one");
    let nodes = kubectl.json(["get", "nodes"])?;
    ensure!(nodes["items"][0]["status"]["nodeInfo"]["kubeletVersion"] == version, "{nodes}");
    let said = cluster.node(&["kubeadm", "version", "--output", "short"])?;
    ensure!(said.trim() == version, "kubeadm is {said}");

    build_probe(&cluster)?;
    let namespace = kubectl.namespace("version")?;
    namespace.apply(manifests::deployment("web", PROBE, "of this version", 1))?;
    namespace.apply(manifests::node_port_service("web"))?;
    namespace.apply(manifests::pod("client", PROBE, &["idle"]))?;
    namespace.wait_ready("web")?;
    namespace.wait_ready("client")?;
    let answers = || {
        let target = format!("web.{}.svc.cluster.local:{}", namespace.name(), manifests::SERVICE_PORT);
        poll::until(&format!("{target} answers"), Duration::from_secs(60), || {
            let answer = namespace.run(["exec", "client", "--", "/probe", "get", &target, "/"])?;
            ensure!(answer == "of this version", "{answer:?}");
            Ok(())
        })
    };
    answers()?;
    engine::run(["restart", cluster.container()])?;
    restart::boots_again(&cluster)?;
    let pods = cluster.kubectl()?.json(["get", "pods", "--namespace", namespace.name()])?;
    ensure!(pods["items"].as_array().is_some_and(|pods| pods.len() == 2), "after a restart there are {pods}");
    Ok(())
}
