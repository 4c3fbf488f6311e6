//! From `docker run` to a cluster that answers: readiness, the endpoints, `kubectl` through `/config`. These
//! cases check what the contract promises to every CI system.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kubake_contract::status::{ComponentState, Outcome, State};
use kubake_contract::{Endpoint, env, labels, names, ports};
use kubake_e2e::cluster::{BOOT_PATIENCE, free_port};
use kubake_e2e::engine::{self, Container};
use kubake_e2e::http::{self, Response};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::plain::Plain;
use kubake_e2e::poll;
use serde_json::Value;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("up makes a cluster whose endpoints keep their promises", endpoints_answer),
    ("up merges a context that kubectl can use", context_works),
    ("kubectl through /config sees a ready node and running system pods", kubectl_from_host),
    ("a plain docker run answers 503 with a reason at once and 200 only when the cluster works", plain_run),
    ("what is mounted, copied or named as working directory below /tmp and /run is there", users_files),
    ("a node boots with the host's cgroups mounted and few open files, and has loop devices", odd_host),
];

fn endpoints_answer() -> Result<()> {
    let cluster = lab()?.shared()?;
    cluster.fetch(Endpoint::KubernetesReady.path())?;
    cluster.fetch(Endpoint::Healthz.path())?;
    poll::until("the Docker API is ready", Duration::from_secs(60), || cluster.fetch(Endpoint::DockerReady.path()))?;
    ensure!(cluster.fetch(Endpoint::StaticIp.path())?.trim() == "172.30.99.1");
    let label =
        engine::inspect(cluster.container(), &format!("index .Config.Labels \"{}\"", labels::KUBERNETES_VERSION))?;
    let version = cluster.fetch(Endpoint::KubernetesVersion.path())?;
    ensure!(version.trim() == label, "the version is {version:?}, the image's label says {label:?}");

    let status = cluster.status()?;
    ensure!(status.state == State::Running && status.kubernetes.ready, "{status:?}");
    ensure!(!status.phases.is_empty(), "a boot without phases");
    for phase in &status.phases {
        ensure!(phase.outcome == Outcome::Done && phase.elapsed_ms.is_some(), "{phase:?}");
    }
    for name in ["containerd", "kubelet", "dockerd"] {
        let component = status.components.iter().find(|component| component.name == name);
        let component = component.with_context(|| format!("{name} is not in the status: {status:?}"))?;
        ensure!(component.state == ComponentState::Running && component.restarts == 0, "{component:?}");
    }

    let list = cluster.fetch(Endpoint::Logs.path())?;
    for name in ["kubelet", "containerd", "dockerd"] {
        ensure!(list.contains(name), "the list of logs lacks {name}: {list}");
        let log = cluster.fetch(&format!("{}{name}", Endpoint::Logs.path()))?;
        ensure!(!log.trim().is_empty(), "the log of {name} is empty");
    }
    let page = cluster.fetch(Endpoint::Index.path())?;
    ensure!(page.contains(Endpoint::KubernetesReady.path()), "the front page names no endpoint: {page}");
    for path in ["/no-such-page", "/logs/no-such-log", "/logs/..%2f..%2f..%2fetc%2fshadow", "/logs/../../../etc/shadow"]
    {
        cluster.get(path)?.expect(404)?;
    }
    Ok(())
}

fn context_works() -> Result<()> {
    let cluster = lab()?.shared()?;
    let kubectl = lab()?.kubectl(cluster.container())?;
    let mut command = std::process::Command::new(kubectl);
    command.env("HOME", cluster.directory()).env("KUBECONFIG", cluster.kubeconfig());
    command.args(["--context", cluster.name(), "get", "nodes", "--output", "name"]);
    let nodes = kubake_e2e::process::run(&mut command, Duration::from_secs(60))?.success()?;
    ensure!(nodes.trim() == format!("node/{}", names::CONTROL_PLANE), "{nodes:?}");
    Ok(())
}

fn kubectl_from_host() -> Result<()> {
    let cluster = lab()?.shared()?;
    let kubectl = cluster.kubectl()?;
    let config = kubectl.json(["config", "view"])?;
    for (list, name) in [("clusters", "name"), ("users", "name"), ("contexts", "name")] {
        ensure!(
            config[list][0][name] == names::CLUSTER.as_str(),
            "a kubeconfig with other names than promised: {config}"
        );
    }
    let api = engine::published(cluster.container(), ports::API)?;
    let server = config["clusters"][0]["cluster"]["server"].clone();
    ensure!(server == format!("https://127.0.0.1:{api}"), "/config names {server}, the caller reached 127.0.0.1:{api}");

    system_works(&kubectl.json(["get", "nodes"])?, &kubectl.json(["get", "pods", "--namespace", "kube-system"])?)?;
    let versions = kubectl.json(["version"])?;
    let server = versions["serverVersion"]["gitVersion"].as_str().unwrap_or_default().to_owned();
    ensure!(server == cluster.fetch(Endpoint::KubernetesVersion.path())?.trim(), "{versions}");
    ensure!(versions["clientVersion"]["gitVersion"] == server.as_str(), "client and server differ: {versions}");
    Ok(())
}

/// Checks that the one node is ready and that each part of the control plane runs.
fn system_works(nodes: &Value, pods: &Value) -> Result<()> {
    let nodes = nodes["items"].as_array().context("nodes without items")?;
    ensure!(nodes.len() == 1 && nodes[0]["metadata"]["name"] == names::CONTROL_PLANE.as_str(), "{nodes:?}");
    let conditions = nodes[0]["status"]["conditions"].as_array().context("a node without conditions")?;
    ensure!(conditions.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"), "{conditions:?}");
    ensure!(nodes[0]["spec"]["taints"].is_null(), "the node is tainted: {}", nodes[0]["spec"]);

    let pods = pods["items"].as_array().context("pods without items")?;
    for part in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"] {
        let found = pods.iter().any(|pod| pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with(part)));
        ensure!(found, "no pod of {part} among {} pods", pods.len());
    }
    for pod in pods {
        let containers = pod["status"]["containerStatuses"].as_array().context("a pod without containers")?;
        let runs = pod["status"]["phase"] == "Running" && containers.iter().all(|one| one["ready"] == true);
        ensure!(runs, "{}: {}", pod["metadata"]["name"], pod["status"]);
    }
    Ok(())
}

/// Runners of CI systems do this: a repository below /tmp, mounted files, files copied before the start.
fn users_files() -> Result<()> {
    let lab = lab()?;
    let directory = lab.directory()?;
    let file = directory.path().join("file");
    lab::write(&file, "the user's")?;
    let name = format!("{}-files", kubake_e2e::PREFIX);
    let container = Container::guard(&name);
    let file = file.to_str().context("a path that is no text")?;
    let mut arguments = vec!["create".to_owned(), "--privileged".into(), "--name".into(), name.clone()];
    arguments.extend(["--workdir".into(), "/tmp/some/repository".into()]);
    for path in ["/tmp/mounted", "/run/mounted"] {
        arguments.extend(["--volume".into(), format!("{file}:{path}:ro")]);
    }
    // The runner's own, which must not be taken for the node's.
    arguments.extend(["--volume".into(), format!("{file}:/var/run/docker.sock")]);
    arguments.push(lab.image()?.to_owned());
    engine::run(&arguments)?;
    for path in ["/tmp/copied", "/run/copied"] {
        engine::run(["cp", file, &format!("{name}:{path}")])?;
    }
    engine::run(["start", &name])?;
    let check = |paths: &[&str]| -> Result<()> {
        poll::until("health", BOOT_PATIENCE, || {
            let health = engine::inspect(container.name(), ".State.Health.Status")?;
            ensure!(health == "healthy", "{health}");
            Ok(())
        })?;
        for path in paths {
            let text = engine::run(["exec", container.name(), "cat", path])?;
            ensure!(text.trim() == "the user's", "{path} holds {text:?}");
        }
        engine::run(["exec", container.name(), "docker", "version"])?;
        Ok(())
    };
    check(&["/tmp/mounted", "/tmp/copied", "/run/mounted", "/run/copied"])?;
    engine::run(["cp", file, &format!("{name}:/tmp/later")])?;
    engine::run(["restart", &name])?;
    check(&["/tmp/mounted", "/tmp/copied", "/tmp/later", "/run/mounted", "/run/copied"])
}

/// As guides start images with containers inside, and as some engines limit containers.
fn odd_host() -> Result<()> {
    let cgroups = "/sys/fs/cgroup:/sys/fs/cgroup:rw";
    let arguments = ["--ulimit", "nofile=1024:4096", "--volume", cgroups];
    let node = Plain::start(lab()?, &format!("{}-odd", kubake_e2e::PREFIX), &arguments)?;
    node.wait_ready(BOOT_PATIENCE)?;
    engine::run(["exec", node.name(), "test", "-b", "/dev/loop63"])?;
    Ok(())
}

fn plain_run() -> Result<()> {
    let image = lab()?.image()?;
    let name = format!("{}-plain", kubake_e2e::PREFIX);
    // Chosen here, because a variable has to name the port under which the cluster is reached.
    let (http, api) = (free_port()?, free_port()?);
    let container = Container::run(
        &name,
        [
            "--privileged",
            "--publish",
            &format!("127.0.0.1:{http}:{}", ports::HTTP),
            "--publish",
            &format!("127.0.0.1:{api}:{}", ports::API),
            "--env",
            &format!("{}={api}", env::API_PORT),
            image,
        ],
    )?;
    let started = Instant::now();
    let ask = |path| http::get_within(http, path, Duration::from_secs(5));
    // Docker's proxy accepts connections before a program listens behind it; only an answer counts.
    let first = poll::until("a first answer", Duration::from_secs(10), || ask(Endpoint::KubernetesReady.path()))?;
    ensure!(started.elapsed() < Duration::from_secs(3), "the first answer took {:?}", started.elapsed());
    not_ready_with_a_reason(&first)?;
    ask(Endpoint::Healthz.path())?.expect(200)?;
    let reasons = poll::until("the cluster is ready", BOOT_PATIENCE, || {
        let answer = ask(Endpoint::KubernetesReady.path())?;
        if answer.status == 200 { Ok(()) } else { not_ready_with_a_reason(&answer).and_then(|()| bail!("{answer:?}")) }
    });
    reasons.with_context(|| engine::logs(container.name()).unwrap_or_default())?;

    // The answer was 200, so all of this works now and not in a moment.
    let directory = lab()?.directory()?;
    let kubeconfig = directory.path().join("kubeconfig");
    kubake_e2e::lab::write(&kubeconfig, ask(Endpoint::Config.path())?.expect(200)?)?;
    let get = |what: &[&str]| -> Result<Value> {
        let mut command = std::process::Command::new(lab()?.kubectl(container.name())?);
        command.env("HOME", directory.path()).env("KUBECONFIG", &kubeconfig).args(what).args(["--output", "json"]);
        let text = kubake_e2e::process::run(&mut command, Duration::from_secs(30))?.success()?;
        serde_json::from_str(&text).context("kubectl wrote no JSON")
    };
    system_works(&get(&["get", "nodes"])?, &get(&["get", "pods", "--namespace", "kube-system"])?)
}

fn not_ready_with_a_reason(answer: &Response) -> Result<()> {
    ensure!(answer.status == 503, "should say 503 and why: {answer:?}");
    ensure!(answer.body.trim().len() > 5, "503 without a reason: {answer:?}");
    Ok(())
}
