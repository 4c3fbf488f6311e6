//! Stopping a container: in order after one signal, at once after a second one.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubake_contract::Endpoint;
use kubake_e2e::cluster::Cluster;
use kubake_e2e::lab::lab;
use kubake_e2e::{engine, manifests, poll};

use crate::{Case, PROBE, build_probe, restart, storage};

pub(crate) const CASES: &[Case] = &[
    ("docker stop is orderly, ends with 0 and takes less than ten seconds", orderly),
    ("a second SIGTERM stops at once", at_once),
    ("pods get the time that `KUBAKE_STOP_TIMEOUT` grants", patient),
    ("variables of a CI job reach no program of the node", variables_of_a_job),
];

/// Stopped one after another, these would take more than the ten seconds of `docker stop`.
const STUBBORN: u32 = 6;

fn orderly() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("stop")?;
    // Pods that ignore SIGTERM must not use up the time of other pods, however many they are.
    let stubborn: Vec<String> = (1..=STUBBORN).map(|number| format!("stubborn-{number}")).collect();
    for name in &stubborn {
        namespace.apply(manifests::pod(name, PROBE, &["stubborn"]))?;
    }
    namespace.apply(manifests::deployment("web", PROBE, "polite", 1))?;
    for name in &stubborn {
        namespace.wait_ready(name)?;
    }
    namespace.wait_ready("web")?;

    let before = engine::logs(cluster.container())?.len();
    let started = Instant::now();
    engine::run(["stop", cluster.container()])?;
    let took = started.elapsed();
    let code = engine::inspect(cluster.container(), ".State.ExitCode")?;
    let log = engine::logs(cluster.container())?;
    let log = log.get(before..).unwrap_or(&log);
    ensure!(code == "0", "it ended with {code}:\n{log}");
    // Docker kills after ten seconds, so the stop has to take less.
    ensure!(took < Duration::from_secs(10), "it took {took:?}:\n{log}");
    ensure!(log.contains("stopping") && log.contains("stopped"), "the log does not tell of the stop:\n{log}");
    ensure!(!log.contains("not stopped in order") && !log.contains("is killed"), "it was not orderly:\n{log}");

    engine::run(["start", cluster.container()])?;
    restart::boots_again(&cluster)?;
    namespace.wait_ready("web")
}

fn at_once() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("twice")?;
    namespace.apply(manifests::pod("stubborn", PROBE, &["stubborn"]))?;
    namespace.wait_ready("stubborn")?;
    namespace.run(["create", "configmap", "kept", "--from-literal=key=value"])?;

    engine::run(["kill", "--signal", "TERM", cluster.container()])?;
    let second = Instant::now();
    engine::run(["kill", "--signal", "TERM", cluster.container()])?;
    poll::until("the container has ended", Duration::from_secs(10), || {
        let running = engine::inspect(cluster.container(), ".State.Running")?;
        ensure!(running == "false", "it runs");
        Ok(())
    })?;
    ensure!(second.elapsed() < Duration::from_secs(3), "it took {:?}", second.elapsed());
    let code = engine::inspect(cluster.container(), ".State.ExitCode")?;
    ensure!(code != "0", "nothing was stopped in order, and yet it ended with 0");

    // This is like a power cut, which a database survives.
    engine::run(["start", cluster.container()])?;
    restart::boots_again(&cluster)?;
    let kubectl = cluster.kubectl()?;
    kubectl.run(["get", "configmap", "kept", "--namespace", namespace.name()])?;
    Ok(())
}

fn patient() -> Result<()> {
    let cluster = Cluster::run(lab()?, "kubake-e2e-patient", &["--env=KUBAKE_STOP_TIMEOUT=60", "--stop-timeout=60"])?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("patient")?;
    namespace.apply(manifests::claim("data"))?;
    let arguments = ["farewell", "/data/file", "saved"];
    namespace.apply(manifests::pod_with_claim("slow", PROBE, &arguments, "data"))?;
    // Its own grace period ends it, however much time there is.
    let mut stubborn = manifests::pod("stubborn", PROBE, &["stubborn"]);
    stubborn["spec"]["terminationGracePeriodSeconds"] = 1.into();
    namespace.apply(stubborn)?;
    namespace.wait_ready("slow")?;
    namespace.wait_ready("stubborn")?;

    let started = Instant::now();
    engine::run(["stop", cluster.container()])?;
    let took = started.elapsed();
    let code = engine::inspect(cluster.container(), ".State.ExitCode")?;
    ensure!(code == "0" && took < Duration::from_secs(40), "it ended with {code} after {took:?}");
    engine::run(["start", cluster.container()])?;
    restart::boots_again(&cluster)?;
    let read = storage::read(&namespace, "reader", "data")?;
    ensure!(read == "saved", "the pod was killed before it had written: {read:?}");
    Ok(())
}

/// Variables that a CI job sets for its own clients.
const OF_A_JOB: [&str; 6] = [
    "--env=CONTAINER_RUNTIME_ENDPOINT=unix:///builds/none.sock",
    "--env=DOCKER_HOST=tcp://docker:2376",
    "--env=DOCKER_TLS_VERIFY=1",
    "--env=DOCKER_CERT_PATH=/certs/client",
    "--env=TMPDIR=/builds/me/tmp",
    "--env=SSL_CERT_FILE=/builds/none.pem",
];

fn variables_of_a_job() -> Result<()> {
    let cluster = Cluster::run(lab()?, "kubake-e2e-job", &OF_A_JOB)?;
    for signal in ["USR1", "USR2", "ALRM"] {
        engine::run(["kill", "--signal", signal, cluster.container()])?;
    }
    cluster.fetch(Endpoint::Status.path()).context("a signal without a meaning ended the supervisor")?;
    // As LXC halts a container.
    engine::run(["kill", "--signal", "PWR", cluster.container()])?;
    poll::until("the container has ended", Duration::from_secs(10), || {
        let running = engine::inspect(cluster.container(), ".State.Running")?;
        ensure!(running == "false", "it runs");
        Ok(())
    })?;
    let code = engine::inspect(cluster.container(), ".State.ExitCode")?;
    let log = engine::logs(cluster.container())?;
    ensure!(code == "0", "it ended with {code}:\n{log}");
    ensure!(!log.contains("not stopped in order"), "crictl was misled:\n{log}");
    Ok(())
}
