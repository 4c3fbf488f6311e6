//! What `/kubernetes-ready` must never claim: that the cluster works while a part of it does not. Each part is lost
//! after the cluster was ready; the answer must name it in time, and be 200 again when it is back. And the reverse:
//! what users run does not change the answer.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::{ClusterSettings, Endpoint};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::kubectl::Namespace;
use kubake_e2e::lab::lab;
use kubake_e2e::sabotage::{self, Remedy};
use kubake_e2e::{engine, manifests, poll};
use serde_json::{Value, json};

use crate::{Case, PROBE, build_probe, restart};

pub(crate) const CASES: &[Case] = &[
    ("a scheduler that hangs is missed", scheduler),
    ("a controller manager that hangs is missed", controller_manager),
    ("an API server that hangs is missed", api_server),
    ("an etcd that hangs is missed", etcd),
    ("a kubelet that hangs is missed", kubelet),
    ("a kube-proxy that hangs is missed", kube_proxy),
    ("a DNS that hangs is missed", dns),
    ("a system pod that finds no node is missed", held_back),
    ("a static pod whose manifest is spoilt is missed", spoilt_manifest),
    ("what users run does not decide", users_pods),
    ("readiness is true in a boot that follows a killed boot", killed_boot),
    ("the health check reports what readiness reports", health_check),
];

/// From the loss of a part to the answer that names it.
const NOTICE_PATIENCE: Duration = Duration::from_secs(60);
/// The same for the API server, which answers all other questions.
const API_NOTICE_PATIENCE: Duration = Duration::from_secs(30);
/// From the repair to ready. Includes kubelet's liveness probes, which end the frozen program, and its next start.
const RECOVERY_PATIENCE: Duration = Duration::from_secs(180);

fn scheduler() -> Result<()> {
    frozen("kube-scheduler", &["kube-scheduler"], NOTICE_PATIENCE)
}

fn controller_manager() -> Result<()> {
    frozen("kube-controller-manager", &["kube-controller-manager"], NOTICE_PATIENCE)
}

fn api_server() -> Result<()> {
    frozen("kube-apiserver", &["API server"], API_NOTICE_PATIENCE)
}

fn etcd() -> Result<()> {
    let cluster = ready_cluster()?;
    let remedy = sabotage::freeze(&cluster, "etcd")?;
    // Only the API server talks to etcd, so it is the API server that lacks something.
    let body = denied(&cluster, &["API server"], NOTICE_PATIENCE)?;
    ensure!(names_one(&body, &["etcd", "answer", "silent", "timed out"]), "it does not say what is the matter: {body}");
    recovers(&cluster, remedy)
}

fn kubelet() -> Result<()> {
    frozen("kubelet", &["kubelet"], NOTICE_PATIENCE)
}

fn kube_proxy() -> Result<()> {
    frozen("kube-proxy", &["kube-proxy"], NOTICE_PATIENCE)
}

fn dns() -> Result<()> {
    frozen("coredns", &["DNS", "coredns"], NOTICE_PATIENCE)
}

fn held_back() -> Result<()> {
    let cluster = ready_cluster()?;
    let kubectl = cluster.kubectl()?;
    let remedy = sabotage::cordon(&cluster)?;
    kubectl.run(["delete", "pods", "--namespace", "kube-system", "--selector", "k8s-app=kube-dns", "--wait=false"])?;
    denied(&cluster, &["coredns"], NOTICE_PATIENCE)?;
    recovers(&cluster, remedy)
}

fn spoilt_manifest() -> Result<()> {
    let cluster = ready_cluster()?;
    let remedy = sabotage::spoil_manifest(&cluster, "kube-scheduler")?;
    // Every 20 s kubelet compares the directory with the pods that run, and then stops the pod in order.
    denied(&cluster, &["kube-scheduler"], NOTICE_PATIENCE + Duration::from_secs(30))?;
    recovers(&cluster, remedy)
}

/// Freezes a program and checks that one of `names` is missed for it, until it goes on.
fn frozen(program: &str, names: &[&str], patience: Duration) -> Result<()> {
    let cluster = ready_cluster()?;
    let remedy = sabotage::freeze(&cluster, program)?;
    denied(&cluster, names, patience)?;
    recovers(&cluster, remedy)
}

/// The shared cluster, which answers that it is ready.
fn ready_cluster() -> Result<kubake_e2e::shared::Shared> {
    let cluster = lab()?.shared()?;
    cluster.fetch(Endpoint::KubernetesReady.path())?;
    Ok(cluster)
}

fn recovers(cluster: &Cluster, remedy: Remedy<'_>) -> Result<()> {
    remedy.apply()?;
    cluster.wait_ready(RECOVERY_PATIENCE).context("after the repair")
}

/// Waits until the cluster says that it is not ready and names one of `names`, and checks that the answer is stable and that
/// `/status` agrees. Returns the body of the answer.
fn denied(cluster: &Cluster, names: &[&str], patience: Duration) -> Result<String> {
    let body = poll::until(&format!("503 that names {names:?}"), patience, || denial(cluster, names))?;
    // The answer must be stable: a request a moment later must not get another one.
    poll::throughout(Duration::from_secs(1), || denial(cluster, names).map(drop)).context("it took its 503 back")?;
    // Two questions, between which one more part may be found missing; then they are asked again.
    poll::until("the status says the same", Duration::from_secs(10), || {
        let body = denial(cluster, names)?;
        let kubernetes = cluster.status()?.kubernetes;
        ensure!(!kubernetes.ready, "the status says ready, readiness says {body:?}");
        ensure!(body.lines().eq(&kubernetes.missing), "the status lacks {:?}, readiness {body:?}", kubernetes.missing);
        Ok(())
    })?;
    Ok(body)
}

fn denial(cluster: &Cluster, names: &[&str]) -> Result<String> {
    let body = cluster.get(Endpoint::KubernetesReady.path())?.expect(503)?;
    ensure!(names_one(&body, names), "it names none of {names:?}: {body}");
    Ok(body)
}

/// Whether a text for people contains one of these in upper or lower case: CoreDNS is also called `coredns`.
fn names_one(text: &str, names: &[&str]) -> bool {
    let text = text.to_lowercase();
    names.iter().any(|name| text.contains(&name.to_lowercase()))
}

fn users_pods() -> Result<()> {
    let cluster = ready_cluster()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("users")?;
    let mut crashing = manifests::pod("crashing", PROBE, &["read", "/no-such-file"]);
    crashing["spec"]["restartPolicy"] = "Always".into();
    namespace.apply(crashing)?;
    let mut imageless = manifests::pod("imageless", "kubake-e2e/missing:1", &["idle"]);
    imageless["spec"]["containers"][0]["imagePullPolicy"] = "Never".into();
    namespace.apply(imageless)?;
    let mut unready = manifests::deployment("unready", PROBE, "serves on another port", 1);
    // No program listens there.
    unready["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]["port"] = json!(1);
    namespace.apply(unready)?;

    poll::until("all three have failed", kubake_e2e::kubectl::POD_PATIENCE, || {
        let crashing = container(&namespace, "crashing")?;
        ensure!(crashing["restartCount"].as_u64() >= Some(2), "{crashing}");
        let imageless = container(&namespace, "imageless")?;
        ensure!(imageless["state"]["waiting"]["reason"] == "ErrImageNeverPull", "{imageless}");
        let unready = container(&namespace, "unready")?;
        ensure!(unready["state"]["running"].is_object() && unready["ready"] == false, "{unready}");
        Ok(())
    })?;
    // Longer than a loss has to last before readiness reports it.
    poll::throughout(Duration::from_secs(12), || cluster.fetch(Endpoint::KubernetesReady.path()).map(drop))
}

/// The one container's status of the one pod with this `app` label.
fn container(namespace: &Namespace<'_>, app: &str) -> Result<Value> {
    let pods = namespace.json(["get", "pods", "--selector", &format!("app={app}")])?;
    let status = &pods["items"][0]["status"]["containerStatuses"][0];
    ensure!(status.is_object(), "{app} has no container yet: {pods}");
    Ok(status.clone())
}

fn killed_boot() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("killed-boot")?;
    restart::kill(&cluster)?;
    engine::run(["start", cluster.container()])?;
    restart::kill_in_boot(&cluster, "kubernetes")?;
    engine::run(["start", cluster.container()])?;
    restart::boots_again(&cluster)?;

    // The answer was 200, so all of this works now and at the first attempt. The API server is asked in plain HTTP, because
    // the probe knows nothing else; that it is refused in its own words shows who answers.
    let refusal = "Client sent an HTTP request to an HTTPS server";
    let service = ClusterSettings::default().api_service_ip();
    // One line, which bash sends in one piece: what is sent after the answer would be answered by a reset.
    let script = format!("exec 3<>/dev/tcp/{service}/443; printf 'GET / HTTP/1.0\\r\\n' >&3; cat <&3");
    let answer = cluster.node(&["timeout", "10", "bash", "-c", &script]).context("the API server's service address")?;
    ensure!(answer.contains(refusal), "{service} answers {answer:?} in the node");
    // A pod that is started once: scheduled, run, its name looked up in the cluster's DNS, its service reached.
    let target = "kubernetes.default.svc.cluster.local:443";
    namespace.apply(manifests::pod("asks", PROBE, &["get", target, "/"]))?;
    let answer = namespace.wait_done("asks")?;
    ensure!(answer.contains(refusal), "{target} answers {answer:?} to a pod");
    Ok(())
}

fn health_check() -> Result<()> {
    let cluster = lab()?.shared()?;
    let state = || engine::inspect(cluster.container(), ".State.Health.Status").context("the engine checks no health");
    let becomes = |wanted: &str, patience| {
        poll::until(&format!("the engine says {wanted}"), patience, || {
            let state = state()?;
            ensure!(state == wanted, "it says {state}");
            Ok(())
        })
    };
    engine::run(["restart", cluster.container()])?;
    let first = state()?;
    ensure!(first != "healthy", "right after the start the engine says {first}");
    restart::boots_again(&cluster)?;
    becomes("healthy", Duration::from_secs(15))?;
    let check = || engine::output(["exec", cluster.container(), "kubake-init", "healthcheck"]);
    let check_result = check()?.success()?;
    ensure!(names_one(&check_result, &["ready"]), "the health check says {check_result:?}");

    let remedy = sabotage::freeze(&cluster, "kube-scheduler")?;
    denied(&cluster, &["kube-scheduler"], NOTICE_PATIENCE)?;
    let check_result = check()?;
    ensure!(check_result.status.code() == Some(1), "the health check: {check_result}");
    ensure!(
        names_one(&(check_result.stdout.clone() + &check_result.stderr), &["kube-scheduler"]),
        "the health check: {check_result}"
    );
    // Two checks in a row must fail, one every ten seconds.
    becomes("unhealthy", NOTICE_PATIENCE)?;
    recovers(&cluster, remedy)?;
    becomes("healthy", NOTICE_PATIENCE)
}
