//! Ordinary use of a cluster: images, deployments, services, names, logs and exec.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::kubectl::{Namespace, POD_PATIENCE};
use kubake_e2e::lab::lab;
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::process::{Background, Show};
use kubake_e2e::{engine, http, manifests, poll};

use crate::{Case, PROBE, build_probe, probe_program};

pub(crate) const CASES: &[Case] = &[
    ("an image built through the inner Docker runs as a pod at once", built_inside),
    ("a deployment answers through its service, by name and on its node port", service),
    ("exec, logs and port-forward reach into a pod", reach_into),
    ("load balancers may use the only node", load_balancers),
];

fn built_inside() -> Result<()> {
    let cluster = lab()?.shared()?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("built")?;
    let docker = cluster.docker_host()?;
    let image = "kubake-e2e/built-inside:1";
    let _image = InnerImage { cluster: &cluster, name: image };
    for version in ["first", "second"] {
        // Layers in which a program ran and a file was deleted, as in most images.
        probe::build(probe_program(), image, Recipe::WithDeletedFile(version), Some(&docker))?;
        let started = Instant::now();
        namespace.apply(manifests::pod(version, image, &["read", "/version"]))?;
        let said = namespace.wait_done(version)?;
        // The same name again is the new image: nothing may keep the old one.
        ensure!(said == version, "the pod of the {version} build says {said:?}");
        ensure!(started.elapsed() < Duration::from_secs(30), "it took {:?} to run", started.elapsed());
    }
    namespace.apply(manifests::pod("made", image, &["read", "/made"]))?;
    ensure!(namespace.wait_done("made")? == "by RUN");
    namespace.apply(manifests::pod("gone", image, &["read", "/gone"]))?;
    let message = namespace.wait_done("gone").expect_err_with("a file that the image deleted is there")?;
    ensure!(message.contains("/gone"), "{message}");
    Ok(())
}

/// An image in the node, removed through its Docker API.
struct InnerImage<'a> {
    cluster: &'a Cluster,
    name: &'static str,
}

impl Drop for InnerImage<'_> {
    fn drop(&mut self) {
        let _ = self.cluster.node(&["docker", "rmi", "--force", self.name]);
    }
}

/// Turns an expected failure into its text.
trait ExpectErr {
    fn expect_err_with(self, otherwise: &str) -> Result<String>;
}

impl<T: std::fmt::Debug> ExpectErr for Result<T> {
    fn expect_err_with(self, otherwise: &str) -> Result<String> {
        match self {
            Err(error) => Ok(format!("{error:#}")),
            Ok(value) => Err(anyhow::anyhow!("{otherwise}: {value:?}")),
        }
    }
}

fn service() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("service")?;
    namespace.apply(manifests::deployment("web", PROBE, "hello from web", 2))?;
    namespace.apply(manifests::node_port_service("web"))?;
    namespace.apply(manifests::pod("client", PROBE, &["idle"]))?;
    namespace.wait_ready("web")?;
    namespace.wait_ready("client")?;

    let address = namespace.json(["get", "service", "web"])?["spec"]["clusterIP"].clone();
    let address = address.as_str().context("a service without an address")?.to_owned();
    let full = format!("web.{}.svc.cluster.local", namespace.name());
    for host in [address.as_str(), "web", &format!("web.{}", namespace.name()), &full] {
        let target = format!("{host}:{}", manifests::SERVICE_PORT);
        let answer = asked(&namespace, "client", &target)?;
        ensure!(answer == "hello from web", "{target} answers {answer:?}");
    }
    // From the node itself, as an ingress or a health check would.
    let node = format!("172.30.99.1:{}", manifests::NODE_PORT);
    let answer = asked(&namespace, "client", &node)?;
    ensure!(answer == "hello from web", "{node} answers {answer:?}");
    let script = format!(
        "exec 3<>/dev/tcp/172.30.99.1/{}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3",
        manifests::NODE_PORT
    );
    let answer =
        poll::until("the node port answers in the node", POD_PATIENCE, || cluster.node(&["bash", "-c", &script]))?;
    ensure!(answer.ends_with("hello from web"), "the node port answers {answer:?} in the node");
    // From outside, through the port that `up --publish` opened.
    let outside = engine::published(cluster.container(), manifests::NODE_PORT)?;
    let answer = poll::until("the published node port answers", POD_PATIENCE, || http::get(outside, "/")?.expect(200))?;
    ensure!(answer == "hello from web\n", "the published node port answers {answer:?}");

    // Replacing all pods must not lose the service.
    namespace.apply(manifests::deployment("web", PROBE, "hello again", 2))?;
    poll::until("the new pods answer", POD_PATIENCE, || {
        let answer = asked(&namespace, "client", &format!("web:{}", manifests::SERVICE_PORT))?;
        ensure!(answer == "hello again", "{answer:?}");
        Ok(())
    })
}

/// What a server answers to a pod. Rules for a new service appear a moment after its pods are ready.
fn asked(namespace: &Namespace<'_>, pod: &str, target: &str) -> Result<String> {
    poll::until(&format!("{target} answers pod {pod}"), Duration::from_secs(60), || {
        namespace.run(["exec", pod, "--", "/probe", "get", target, "/"])
    })
}

fn reach_into() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("reach")?;
    namespace.apply(manifests::server("web", PROBE, "through the tunnel"))?;
    namespace.wait_ready("web")?;

    let said = namespace.run(["exec", "web", "--", "/probe", "say", "a b"])?;
    ensure!(said == "a b", "exec gives {said:?}");
    let failed = namespace.output(["exec", "web", "--", "/probe", "read", "/nothing"])?.failure(1)?;
    ensure!(failed.contains("/nothing"), "exec passes stderr on as {failed:?}");

    let port = manifests::POD_PORT;
    let mut command = namespace.command(["port-forward", "pod/web", &format!(":{port}")]);
    let forward = Background::start(&mut command, Show::Nothing)?;
    let local: u16 = poll::until("port-forward listens", Duration::from_secs(30), || {
        let text = forward.stdout();
        let local = text.strip_prefix("Forwarding from 127.0.0.1:").and_then(|rest| rest.split(' ').next());
        local.and_then(|port| port.parse().ok()).with_context(|| format!("it says {text:?} {:?}", forward.stderr()))
    })?;
    for _ in 0..3 {
        let answer = http::get(local, "/forwarded")?.expect(200)?;
        ensure!(answer == "through the tunnel\n", "{answer:?}");
    }
    drop(forward);

    let log = namespace.run(["logs", "web"])?;
    ensure!(log.starts_with(&format!("serving on {port}\n")), "the log begins otherwise: {log}");
    ensure!(log.matches("GET /forwarded HTTP/1.1").count() == 3, "the log lacks the requests: {log}");
    Ok(())
}

fn load_balancers() -> Result<()> {
    let cluster = lab()?.shared()?;
    let labels = cluster.kubectl()?.run(["get", "nodes", "--output", "jsonpath={.items[*].metadata.labels}"])?;
    ensure!(labels.contains("node-role.kubernetes.io/control-plane"), "{labels}");
    ensure!(!labels.contains("exclude-from-external-load-balancers"), "{labels}");
    Ok(())
}
