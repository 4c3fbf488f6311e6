//! A registry with a password and a private CA, as companies have them: pods and Docker use it if variables or a file of the
//! container name it, directly and through a proxy, and cannot use it otherwise.
//!
//! One case, because images have to be pushed before they can be pulled, and each step is another cluster.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kubake_contract::{env, exit, paths};
use kubake_e2e::cluster::{BOOT_PATIENCE, Cluster};
use kubake_e2e::engine::{self, Container, Network};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::openssl::{Authority, KeyForm};
use kubake_e2e::registry::{self, Proxy, Registry};
use kubake_e2e::{LABEL, PREFIX, manifests, poll};
use serde_json::json;

use crate::{Case, PROBE, build_probe};

pub(crate) const CASES: &[Case] = &[
    ("mistakes about registries, proxies and CAs are reported before anything starts, and without secrets", refused),
    (
        "pods and Docker use a registry with a password and a CA of its own, directly, as a mirror and through a proxy",
        used,
    ),
];

/// A pull from a registry on the same machine.
const PULL_PATIENCE: Duration = Duration::from_secs(120);
/// A registry that does not exist: what is pulled from it came from its mirror.
const UPSTREAM: &str = "upstream.kubake-e2e.test";
/// The path below which the mirror serves images, as a proxy cache that is one project of a registry.
const CACHE: &str = "cache";
/// Where files are mounted in a cluster.
const MOUNT: &str = "/run/kubake-e2e";

fn name(what: &str) -> String {
    format!("{PREFIX}-registries-{what}")
}

fn refused() -> Result<()> {
    let image = lab()?.image()?;
    let directory = lab()?.directory()?;
    let text = "registries:\n- {host: registry, user: ci, password: hunter22}\n- {hosts: a.example}\n\
                - {host: b.example, mirrors: ['https://harbor.example/proxy-cache']}\n";
    lab::write(&directory.path().join("registries.yaml"), text)?;
    let volume = format!("--volume={}:{MOUNT}:ro", directory.path().display());
    let variables = [
        format!("--env={}=ghcr.io", env::REGISTRY),
        format!("--env={}=hunter22", env::REGISTRY_PASSWORD),
        format!("--env={}={MOUNT}/registries.yaml", env::REGISTRIES_FILE),
        format!("--env={}=/no/such/ca.crt", env::EXTRA_CA_CERTS),
        "--env=HTTPS_PROXY=http://ci:hunter22@proxy:port".to_owned(),
    ];
    let container = name("refused");
    // In case it is not refused.
    let _container = Container::guard(container.as_str());
    let run = ["run", "--rm", "--privileged", "--name", &container, "--label", LABEL, &volume];
    let output = engine::output(run.into_iter().chain(variables.iter().map(String::as_str)).chain([image]))?;
    // Not the whole output: its command line holds the secret.
    let message = format!("it ended with {}\n{}{}", output.status, output.stdout, output.stderr);
    ensure!(output.status.code() == Some(exit::USAGE), "it should end with {}: {message}", exit::USAGE);
    for part in [
        "REGISTRY and REGISTRY_PASSWORD are set and REGISTRY_USER is not",
        "registries[0].host: `registry` cannot be the registry of an image",
        "registries[1].hosts: is unknown",
        "registries[2].mirrors[0]: has a path without /v2 in it; write the whole path",
        "KUBAKE_EXTRA_CA_CERTS: cannot read /no/such/ca.crt",
        "HTTPS_PROXY: this is not the URL of a proxy",
    ] {
        ensure!(message.contains(part), "it does not say `{part}`: {message}");
    }
    ensure!(!message.contains("hunter22"), "it gives a secret away: {message}");
    Ok(())
}

fn used() -> Result<()> {
    let lab = lab()?;
    lab.retire_other();
    let _images = registry::build(lab)?;
    let inside = Network::create(&name("inside"), "198.18.71.0/24", "198.18.71.1")?;
    let outside = Network::create(&name("outside"), "198.18.72.0/24", "198.18.72.1")?;
    let registry = Registry::start(lab, &name("registry"), &inside, "registry.kubake-e2e.test")?;
    let image = format!("{}/probe:1", registry.host());
    with_registries_file(&registry, &inside, &image).context("a cluster with a registries file")?;
    with_files_of_up(&registry, &inside, &image).context("a cluster with a registries file of `kubake up`")?;
    without_login(&registry, &inside, &image).context("a cluster that knows the CA and no password")?;
    let proxy = Proxy::start(lab, &name("proxy"), &outside, &inside, "proxy.kubake-e2e.test")?;
    through_proxy(&registry, &proxy, &outside, &image).context("a cluster that reaches the registry through a proxy")
}

/// Docker in the node pushes, and a pod pulls; then once more from a registry of which this one is the mirror.
fn with_registries_file(registry: &Registry, network: &Network, image: &str) -> Result<()> {
    let directory = lab()?.directory()?;
    let own = json!({
        "host": registry.host(),
        "user": Registry::USER,
        "passwordFile": format!("{MOUNT}/password"),
        "caFile": format!("{MOUNT}/ca.crt"),
    });
    let mirror = format!("https://{}/v2/{CACHE}", registry.host());
    let mut upstream = own.clone();
    upstream["host"] = UPSTREAM.into();
    upstream["mirrors"] = json!([mirror]);
    let hub = json!({
        "host": "docker.io",
        "caFile": format!("{MOUNT}/ca.crt"),
        "mirrors": [mirror, format!("https://{}/{CACHE}/v2", registry.host())],
    });
    let write = |file: &str, text: &str| lab::write(&directory.path().join(file), text);
    write("registries.yaml", &json!({ "registries": [own, upstream, hub] }).to_string())?;
    write("password", &format!("{}\n", Registry::PASSWORD))?;
    write("ca.crt", &registry.authority().certificate)?;
    let volume = format!("--volume={}:{MOUNT}:ro", directory.path().display());
    let file = format!("--env={}={MOUNT}/registries.yaml", env::REGISTRIES_FILE);
    let network = format!("--network={}", network.name());
    let cluster = Cluster::run(lab()?, &name("file"), &[&network, &volume, &file])?;
    build_probe(&cluster)?;
    cluster.node(&["docker", "tag", PROBE, image])?;
    cluster.node(&["docker", "push", image])?;
    let cached = format!("{}/{CACHE}/probe:1", registry.host());
    cluster.node(&["docker", "tag", PROBE, &cached])?;
    cluster.node(&["docker", "push", &cached])?;
    cluster.node(&["docker", "rmi", image, &cached, PROBE])?;
    pulled(&cluster, image)?;
    pulled(&cluster, &format!("{UPSTREAM}/probe:1")).context("from a mirror with a path")?;
    docker_asks_mirror(&cluster, registry).context("Docker and a mirror with a path")?;
    cluster.node(&["docker", "pull", image])?;
    for path in ["/root/.docker/config.json", "/var/lib/kubelet/config.json"] {
        let mode = cluster.node(&["stat", "--format", "%a", path])?;
        ensure!(mode == "600", "{path} has the mode {mode}");
    }
    no_password_in_logs(&cluster)
}

/// The files that `kubake up` reads reach the container and survive a restart, and the engine does not show the password.
fn with_files_of_up(registry: &Registry, network: &Network, image: &str) -> Result<()> {
    let directory = lab()?.directory()?;
    let path = |file: &str| directory.path().join(file).display().to_string();
    let entry = json!({
        "host": registry.host(),
        "user": Registry::USER,
        // Both are found beside the file.
        "passwordFile": "password",
        "caFile": "ca.crt",
    });
    let other = Authority::make(KeyForm::Pkcs8)?;
    for (file, text) in [
        ("registries.yaml", &json!({ "registries": [entry] }).to_string()),
        ("password", &format!("{}\n", Registry::PASSWORD)),
        ("ca.crt", &registry.authority().certificate),
        ("other.crt", &other.certificate),
    ] {
        lab::write(&directory.path().join(file), text)?;
    }
    let (file, pem) = (path("registries.yaml"), path("other.crt"));
    let files = ["--registries-file", &file, "--extra-ca-certs", &pem];
    let arguments = ["--image", lab()?.image()?, "--network", network.name()].into_iter().chain(files);
    let cluster = Cluster::up(lab()?, &name("up"), &arguments.collect::<Vec<_>>())?;
    // Nothing of it leads to this machine any more.
    drop(directory);
    for is_restarted in [false, true] {
        if is_restarted {
            engine::run(["restart", cluster.container()])?;
            cluster.wait_ready(BOOT_PATIENCE)?;
        } else {
            pulled(&cluster, image)?;
        }
        cluster.node(&["docker", "pull", image])?;
        // A line in the middle of it, as it stands in the bundle.
        let line = other.certificate.lines().nth(2).context("a certificate has lines")?;
        cluster.node(&["grep", "--quiet", "--fixed-strings", line, "/etc/ssl/certs/ca-certificates.crt"])?;
        let listing = ["find", paths::HOST_CONTEXT, "-type", "f", "-printf", "%f %m %U\\n"];
        let listing = cluster.node(&listing)?;
        let mut files: Vec<&str> = listing.lines().collect();
        files.sort_unstable();
        ensure!(files == ["extra-ca.crt 600 0", "registries.yaml 600 0", "registry-0.crt 600 0"], "{files:?}");
    }
    let known = engine::run(["inspect", cluster.container()])?;
    ensure!(!known.contains(Registry::PASSWORD), "the engine shows the password");
    no_password_in_logs(&cluster)
}

/// Checks that Docker asks the mirror, and that the log names the mirror that Docker cannot use. The pull fails: Docker sends
/// logins to its own registry only, and the mirror requires a password.
fn docker_asks_mirror(cluster: &Cluster, registry: &Registry) -> Result<()> {
    let missing = "kubake-e2e/nothing";
    let pull = ["exec", cluster.container(), "timeout", "60", "docker", "pull", missing];
    let output = engine::output(pull)?;
    ensure!(output.status.code() != Some(0), "{missing} was pulled: {}", output.stdout);
    let log = registry.log()?;
    let asked = format!("/v2/{CACHE}/{missing}/manifests/");
    ensure!(log.contains(&asked), "{asked} was not asked for: {log}");
    let unused = format!("Docker does not use the mirror https://{}/{CACHE}/v2: ", registry.host());
    let log = engine::logs(cluster.container())?;
    ensure!(log.contains(&unused), "it is not said that Docker does not use a mirror: {log}");
    Ok(())
}

fn without_login(registry: &Registry, network: &Network, image: &str) -> Result<()> {
    let network = format!("--network={}", network.name());
    let authority = format!("--env={}={}", env::EXTRA_CA_CERTS, registry.authority().certificate);
    let cluster = Cluster::run(lab()?, &name("stranger"), &[&network, &authority])?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("registries")?;
    namespace.apply(pod(image))?;
    let message = poll::until("the pull is refused", PULL_PATIENCE, || {
        let status = namespace.json(["get", "pod", "puller"])?["status"].clone();
        let waiting = &status["containerStatuses"][0]["state"]["waiting"];
        match waiting["reason"].as_str() {
            Some("ErrImagePull") => Ok(waiting["message"].as_str().unwrap_or_default().to_owned()),
            _ => bail!("{status}"),
        }
    })?;
    // The CA is trusted: the registry refuses.
    ensure!(message.contains("authorization failed") || message.contains("401"), "{message}");
    ensure!(!message.contains("x509"), "{message}");
    Ok(())
}

fn through_proxy(registry: &Registry, proxy: &Proxy, network: &Network, image: &str) -> Result<()> {
    let arguments = [
        format!("--network={}", network.name()),
        format!("--env={}={}", env::EXTRA_CA_CERTS, registry.authority().certificate),
        format!("--env={}={}", env::REGISTRY, registry.host()),
        format!("--env={}={}", env::REGISTRY_USER, Registry::USER),
        format!("--env={}={}", env::REGISTRY_PASSWORD, Registry::PASSWORD),
        // In the lower case that many write; the engine's own proxies do not count here.
        format!("--env=https_proxy={}", proxy.url()),
        "--env=HTTPS_PROXY=".to_owned(),
        "--env=HTTP_PROXY=".to_owned(),
        "--env=http_proxy=".to_owned(),
        "--env=NO_PROXY=".to_owned(),
        "--env=no_proxy=elsewhere.example".to_owned(),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let cluster = Cluster::run(lab()?, &name("proxied"), &arguments)?;
    pulled(&cluster, image)?;
    cluster.node(&["docker", "pull", image])?;
    let log = proxy.log()?;
    ensure!(log.contains(registry.host()), "the proxy was not asked for {}: {log}", registry.host());
    ensure!(!log.contains("172.30.99.1"), "the cluster's own traffic goes through the proxy: {log}");
    for (program, has_proxy) in [("containerd", true), ("dockerd", true), ("kubelet", false), ("kube-apiserver", false)]
    {
        let environment = format!("tr '\\0' '\\n' < /proc/$(pidof {program} | cut -d' ' -f1)/environ");
        let environment = cluster.node(&["sh", "-c", &environment])?;
        ensure!(!environment.is_empty(), "{program} does not run");
        ensure!(environment.contains(proxy.url()) == has_proxy, "what {program} knows of proxies: {environment}");
        ensure!(!environment.contains(Registry::PASSWORD), "{program} has the password in its environment");
        if has_proxy {
            for exception in ["elsewhere.example", "172.30.99.1", "10.96.0.0/12", "198.18.72.0/24", ".svc"] {
                ensure!(environment.contains(exception), "{program} asks the proxy for {exception}: {environment}");
            }
        }
    }
    no_password_in_logs(&cluster)
}

fn pod(image: &str) -> serde_json::Value {
    let mut pod = manifests::pod("puller", image, &["say", "pulled"]);
    pod["spec"]["containers"][0]["imagePullPolicy"] = "Always".into();
    pod
}

/// A pod without any credentials of its own pulls the image and runs.
fn pulled(cluster: &Cluster, image: &str) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("registries")?;
    namespace.apply(pod(image))?;
    let said = namespace.wait_done("puller")?;
    ensure!(said.trim() == "pulled", "{said:?}");
    Ok(())
}

fn no_password_in_logs(cluster: &Cluster) -> Result<()> {
    let log = engine::logs(cluster.container())?;
    ensure!(!log.contains(Registry::PASSWORD), "the container's log gives the password away");
    let found = ["grep", "--recursive", "--files-with-matches", Registry::PASSWORD, "/var/log"];
    let found = engine::output(["exec", cluster.container()].iter().chain(&found))?;
    ensure!(found.status.code() == Some(1), "the password stands in: {}", found.stdout);
    Ok(())
}
