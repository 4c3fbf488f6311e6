//! A custom bake: the user's images and workloads are in the image that boots.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::{Endpoint, paths};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::engine::{self, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::{PREFIX, http, manifests, poll};

use crate::{Case, identity, probe_program, secrets};

pub(crate) const CASES: &[Case] = &[("a custom bake boots with its images and what its hooks made", custom)];

const IMAGE: &str = "kubake-e2e/custom:1";
/// Imported from an archive; its last layer deletes a file of the one below.
const ARCHIVED: &str = "kubake-e2e/archived:1";
/// A secret that a hook receives and must not leave anywhere.
const SECRET: &str = "kubake-e2e-hunter2";
/// Imported by its name in a list.
const LISTED: &str = "kubake-e2e/listed:1";

const BAKE_PATIENCE: Duration = Duration::from_secs(900);
/// A bake whose inputs did not change only compares them.
const SKIP_PATIENCE: Duration = Duration::from_secs(60);

fn custom() -> Result<()> {
    lab()?.image()?;
    let directory = lab()?.directory()?;
    let _images = Images::guard([IMAGE, ARCHIVED, LISTED]);
    let (images, hooks) = (directory.path().join("images.d"), directory.path().join("hooks"));
    std::fs::create_dir_all(&images).context("cannot make a directory")?;
    probe::build(probe_program(), ARCHIVED, Recipe::WithDeletedFile("archived"), None)?;
    let archive = directory.path().join("mine.tar");
    engine::run(["save".as_ref(), "--output".as_ref(), archive.as_os_str(), ARCHIVED.as_ref()])?;
    compress(&archive, &images.join("mine.tar.gz"))?;
    probe::build(probe_program(), LISTED, Recipe::Plain("listed"), None)?;
    lab::write(&images.join("more.txt"), format!("# mine\n{LISTED}\n"))?;

    hook(&hooks.join("before-cluster/10-file"), "touch /etc/kubake-e2e-before\n")?;
    let objects = [
        manifests::deployment("web", ARCHIVED, "baked in", 1),
        manifests::node_port_service("web"),
        manifests::claim("baked"),
        manifests::pod_with_claim("filler", LISTED, &["write", "/data/topic/log", "kept"], "baked"),
    ];
    for (index, object) in objects.iter().enumerate() {
        lab::write(&hooks.join(format!("after-cluster/object-{index}.json")), object.to_string())?;
    }
    let script = "test -e /etc/kubake-e2e-before\n\
        kubectl create configmap from-hook --from-literal=version=\"$KUBERNETES_VERSION\"\n\
        for object in object-*.json; do kubectl apply -f \"$object\"; done\n\
        kubectl rollout status deployment/web --timeout=120s\n\
        kubectl wait --for=jsonpath='{.status.phase}'=Succeeded pod/filler --timeout=120s\n\
        kubectl delete pod filler\n";
    hook(&hooks.join("after-cluster/20-objects"), script)?;
    // On the host: its argument is a container into which files can be copied.
    lab::write(&hooks.join("before-setup/data"), "from the host\n")?;
    hook(&hooks.join("before-setup/10-copy"), "\"$KUBAKE_ENGINE\" cp data \"$1:/etc/kubake-e2e-host\"\n")?;
    // At every boot.
    let script =
        "test \"$KUBAKE_HOOK\" = before-boot\ntest ! -e /run/containerd/containerd.sock\ntouch /run/kubake-e2e-boot\n";
    hook(&hooks.join("before-boot/10-mark"), script)?;
    hook(&hooks.join("kubernetes-ready"), "kubectl create configmap at-ready\n")?;
    lab::write(&directory.path().join("secret"), format!("{SECRET}\n"))?;
    let script = format!("test \"$E2E_SECRET\" = {SECRET}\necho \"it is $E2E_SECRET\"\n");
    hook(&hooks.join("after-cluster/30-secret"), &script)?;
    lab::write(&hooks.join("after-cluster/token.json"), token_secret().to_string())?;
    // What a hook leaves of itself and of the bake's keys: a login, a token that no container's key will have signed.
    let script = "mkdir -p /root/.docker\n\
        echo '{\"auths\":{\"registry.example\":{\"auth\":\"dXNlcjpwYXNzd29yZA==\"}}}' > /root/.docker/config.json\n\
        kubectl create namespace mine\n\
        kubectl create serviceaccount robot --namespace mine\n\
        kubectl apply -f token.json\n\
        kubectl wait --namespace mine secret/robot --for=jsonpath='{.data.token}' --timeout=60s\n";
    hook(&hooks.join("after-cluster/30-secrets"), script)?;
    // Not executable, so it is no hook.
    lab::write(&hooks.join("after-cluster/README"), "exit 1\n")?;

    let bake = |patience| -> Result<serde_json::Value> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let (images, hooks) = (path(&images), path(&hooks));
        let secret = format!("E2E_SECRET={}", path(&directory.path().join("secret")));
        let from = ["--images-dir", &images, "--hooks-dir", &hooks, "--hook-secret", &secret];
        let arguments = ["bake", "--json", "--tag", IMAGE].into_iter().chain(from);
        let text = lab()?.run(directory.path(), patience, arguments)?.success()?;
        serde_json::from_str(&text).with_context(|| format!("no JSON: {text}"))
    };
    let first = bake(BAKE_PATIENCE)?;
    ensure!(first["image"] == IMAGE && first["cached"] == false, "{first}");
    let second = bake(SKIP_PATIENCE)?;
    ensure!(second["cached"] == true && second["id"] == first["id"], "the same inputs again: {second}");

    let report = secrets::look(IMAGE)?;
    ensure!(report.findings.is_empty(), "what hooks left is in the image:\n{}", report.lines());

    let name = format!("{PREFIX}-custom");
    let publish = format!("auto:{}", manifests::NODE_PORT);
    let cluster = Cluster::up(lab()?, &name, &["--image", IMAGE, "--publish", &publish])?;
    let kubectl = cluster.kubectl()?;
    let baked = kubectl.run(["get", "configmap", "from-hook", "--output", "jsonpath={.data.version}"])?;
    ensure!(baked == cluster.fetch("/kubernetes-version")?.trim(), "the hook's ConfigMap says {baked:?}");
    cluster.node(&["test", "-e", "/etc/kubake-e2e-before"])?;
    ensure!(cluster.node(&["cat", "/etc/kubake-e2e-host"])?.trim() == "from the host");
    cluster.node(&["test", "-e", "/run/kubake-e2e-boot"])?;
    cluster.node(&["test", "!", "-e", "/kubake/inbox/secrets.yaml"])?;
    // Readiness does not wait for these hooks.
    kubectl.run(["wait", "--for=create", "--timeout=90s", "configmap/at-ready"])?;
    // Ready means that what was baked in runs, not only what Kubernetes brings along.
    let answer = http::get(engine::published(cluster.container(), manifests::NODE_PORT)?, "/")?.expect(200)?;
    ensure!(answer == "baked in\n", "{answer:?}");

    // Trust follows the new identity in namespaces that hooks made, and in tokens.
    let read = |what: &str, path: &str| kubectl.run(["get", what, "--namespace", "mine", "--output", path]);
    let trusted = read("configmap/kube-root-ca.crt", r"jsonpath={.data.ca\.crt}")?;
    ensure!(trusted.trim() == cluster.fetch(Endpoint::CaCert.path())?.trim(), "namespace `mine` trusts {trusted}");
    let token = poll::until("the account's token was signed anew", Duration::from_secs(30), || {
        let token = read("secret/robot", "go-template={{.data.token | base64decode}}")?;
        identity::with_token(&cluster, &kubectl, &token)?.success()?;
        Ok(token)
    })?;
    ensure!(token.starts_with("eyJ"), "the account's token is {token:?}");

    let namespace = kubectl.namespace("custom")?;
    namespace.apply(manifests::pod("archived", ARCHIVED, &["read", "/version"]))?;
    namespace.apply(manifests::pod("listed", LISTED, &["read", "/version"]))?;
    namespace.apply(manifests::pod("deleted", ARCHIVED, &["read", "/gone"]))?;
    ensure!(namespace.wait_done("archived")? == "archived");
    ensure!(namespace.wait_done("listed")? == "listed");
    ensure!(namespace.wait_done("deleted").is_err(), "a file that a layer deleted is there again");
    namespace.apply(manifests::pod("replaced", ARCHIVED, &["read", "/replaced/new"]))?;
    namespace.apply(manifests::pod("hidden", ARCHIVED, &["read", "/replaced/old"]))?;
    ensure!(namespace.wait_done("replaced")? == "by RUN");
    ensure!(namespace.wait_done("hidden").is_err(), "a file in a directory that a layer replaced is there again");

    // What a pod wrote into a claim lies on a file system like any other: directories can be renamed.
    let claim = kubectl.json(["get", "persistentvolumeclaim", "baked"])?;
    let volume = claim["spec"]["volumeName"].as_str().with_context(|| format!("no volume: {claim}"))?;
    let path = format!("{}/{volume}", paths::VOLUMES);
    cluster.node(&["mv", &format!("{path}/topic"), &format!("{path}/renamed")])?;
    ensure!(cluster.node(&["cat", &format!("{path}/renamed/log")])?.trim() == "kept");
    Ok(())
}

fn compress(archive: &Path, target: &Path) -> Result<()> {
    let mut archive = std::fs::File::open(archive).context("the archive is not there")?;
    let target = std::fs::File::create(target).context("cannot make an archive")?;
    let mut target = flate2::write::GzEncoder::new(target, flate2::Compression::fast());
    std::io::copy(&mut archive, &mut target).and_then(|_| target.finish()).context("cannot compress an archive")?;
    Ok(())
}

/// A token for an account that does not expire, as Secrets of this type hold it.
fn token_secret() -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "robot",
            "namespace": "mine",
            "annotations": { "kubernetes.io/service-account.name": "robot" },
        },
        "type": "kubernetes.io/service-account-token",
    })
}

/// An executable file for `sh`.
pub(crate) fn hook(path: &Path, script: &str) -> Result<()> {
    lab::write(path, format!("#!/bin/sh\nset -eu\n{script}"))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).context("cannot make a hook executable")
}
