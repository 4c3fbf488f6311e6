//! The served kubeconfig works as it is from wherever the caller is: beside the cluster, in its network namespace, in a
//! pod, behind published ports, on the host. CI systems reach a cluster in each of these ways.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use kubake_contract::{Endpoint, env, names, ports};
use kubake_e2e::caller::{self, Caller};
use kubake_e2e::cluster::{BOOT_PATIENCE, Cluster};
use kubake_e2e::engine::{self, Images, Network};
use kubake_e2e::kubectl::Kubectl;
use kubake_e2e::lab::lab;
use kubake_e2e::plain::Plain;
use kubake_e2e::sabotage::Remedy;
use kubake_e2e::{PREFIX, manifests};

use crate::{Case, probe_program};

pub(crate) const CASES: &[Case] = &[
    ("a kubeconfig works beside the cluster, inside it, in its network namespace and through published ports", around),
    ("a kubeconfig works under every alias in a network of the engine", aliases),
    (
        "a name by which a kubeconfig is asked for is in the API server's certificate, and a stranger's gets nothing",
        asked_for,
    ),
    ("a kubeconfig names the port that `KUBAKE_API_PORT` names", published_port),
    ("a cluster in the host's network works there, and leaves neither address nor route behind", host_network),
];

/// The static IP that every baked image has unless a setting says otherwise.
const STATIC_IP: &str = "172.30.99.1";

/// A name for a container or a network of this group.
fn name(of: &str) -> String {
    format!("{PREFIX}-address-{of}")
}

/// Builds the image of callers in the host's engine.
fn build_caller(cluster: &Plain) -> Result<Images> {
    let images = Images::guard([caller::IMAGE]);
    caller::build(probe_program(), lab()?.kubectl(cluster.name())?, None)?;
    Ok(images)
}

fn around() -> Result<()> {
    // No variable for the cluster: a service of a GitLab job cannot set any that depends on the job.
    let (api, docker) = (format!("127.0.0.1::{}", ports::API), format!("127.0.0.1::{}", ports::DOCKER));
    let cluster = Plain::start(lab()?, &name("around"), &["--publish", &api, "--publish", &docker])?;
    let _images = build_caller(&cluster)?;
    cluster.wait_ready(BOOT_PATIENCE)?;

    // GitLab's runner gives the job extra hosts for its services, on the default network without name resolution.
    let extra_host = format!("docker:{}", cluster.address()?);
    let job = Caller::container(&name("job"), &["--add-host", &extra_host])?;
    job.uses("http://docker:10080/config", "https://docker:8443")?;
    let address = cluster.address()?;
    job.uses(&format!("http://{address}:10080/config"), &format!("https://{address}:8443"))?;
    drop(job);

    // As in a pod of GitLab's Kubernetes executor, whose containers share one namespace.
    let neighbour = Caller::container(&name("neighbour"), &["--network", &format!("container:{}", cluster.name())])?;
    neighbour.uses("http://localhost:10080/config", "https://localhost:8443")?;
    neighbour.uses("http://127.0.0.1:10080/config", "https://127.0.0.1:8443")?;
    drop(neighbour);

    // Only the caller knows the port and names it in the request; the rest of the kubeconfig is as always.
    let published = engine::published(cluster.name(), ports::API)?;
    let kubeconfig = cluster.fetch(&format!("{}?server=127.0.0.1:{published}", Endpoint::Config.path()))?;
    ensure!(kubeconfig.contains(&format!("server: https://127.0.0.1:{published}\n")), "it does not name the port");
    let kubectl = Kubectl::new(lab()?.kubectl(cluster.name())?, lab()?.directory()?, &kubeconfig)?;
    one_node(&kubectl)?;

    cluster.wait(Endpoint::DockerReady.path(), BOOT_PATIENCE)?;
    let docker_host = format!("tcp://127.0.0.1:{}", engine::published(cluster.name(), ports::DOCKER)?);
    caller::build(probe_program(), lab()?.kubectl(cluster.name())?, Some(&docker_host))?;
    let namespace = kubectl.namespace("caller")?;
    namespace.apply(manifests::pod("caller", caller::IMAGE, &["idle"]))?;
    namespace.wait_ready("caller")?;
    let pod = Caller::Pod(&namespace, "caller");
    pod.uses(&format!("http://{STATIC_IP}:10080/config"), &format!("https://{STATIC_IP}:8443"))
}

/// The cluster answers, and it is one of ours.
fn one_node(kubectl: &Kubectl) -> Result<()> {
    let nodes = kubectl.run(["get", "nodes", "--output", "name"])?;
    ensure!(nodes == format!("node/{}", names::CONTROL_PLANE), "the nodes are {nodes:?}");
    Ok(())
}

fn aliases() -> Result<()> {
    // The first call for the image sweeps what earlier runs left, and networks of our own with it.
    lab()?.image()?;
    let network = Network::create(&name("network"), "198.18.99.0/24", "198.18.99.1")?;
    // GitLab makes such a name from the image's, and it is no host name: it has underscores.
    let names = ["kubernetes", "reg.example.com__ns__kind"];
    let mut arguments = vec!["--network", network.name()];
    for alias in names {
        arguments.extend(["--network-alias", alias]);
    }
    let cluster = Plain::start(lab()?, &name("aliases"), &arguments)?;
    let _images = build_caller(&cluster)?;
    cluster.wait_ready(BOOT_PATIENCE)?;
    let job = Caller::container(&name("job"), &["--network", network.name()])?;
    for alias in names.into_iter().chain([cluster.name()]) {
        job.uses(&format!("http://{alias}:10080/config"), &format!("https://{alias}:8443"))?;
    }
    Ok(())
}

fn asked_for() -> Result<()> {
    let cluster = Plain::start(lab()?, &name("names"), &["--publish", &format!("127.0.0.1::{}", ports::WEB)])?;
    cluster.wait_ready(BOOT_PATIENCE)?;
    // The node's own kubeconfig has no `tls-server-name`, so kubectl checks the address of the server.
    let ask = || {
        let server = format!("https://127.0.0.2:{}", ports::API);
        engine::output(["exec", cluster.name(), "kubectl", "--server", &server, "get", "nodes", "--output", "name"])
    };
    let before = ask()?.failure(1)?;
    ensure!(before.contains("127.0.0.2"), "kubectl accepted the certificate, or failed otherwise: {before}");
    let kubeconfig = cluster.fetch(&format!("{}?server=127.0.0.2:{}", Endpoint::Config.path(), ports::API))?;
    // "-----BEGIN EC PRIVATE" in base64: Fabric8 reads no other form.
    ensure!(kubeconfig.contains("client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRF"), "the key is not SEC1");
    let after = ask()?;
    ensure!(after.status.success(), "the certificate is not for the address that was asked for: {after}");

    // Port 10088 is the same server.
    let web = engine::published(cluster.name(), ports::WEB)?;
    for (host, status) in [("localhost", "200"), ("rebind.example", "421")] {
        let mut stream = TcpStream::connect(("127.0.0.1", web))?;
        write!(stream, "GET {} HTTP/1.0\r\nhost: {host}:{web}\r\n\r\n", Endpoint::ClientKey.path())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.split(' ').nth(1) == Some(status), "{host}: {}", answer.lines().next().unwrap_or_default());
    }
    Ok(())
}

fn published_port() -> Result<()> {
    // Published under another port, which `KUBAKE_API_PORT` passes to it.
    let cluster = Cluster::run(lab()?, &name("published"), &[])?;
    let (kubeconfig, published) = (cluster.fetch(Endpoint::Config.path())?, cluster.api_server()?);
    ensure!(kubeconfig.contains(&format!("server: {published}\n")), "it does not name {published}");
    one_node(&cluster.kubectl()?)
}

fn host_network() -> Result<()> {
    // A run that was killed at this place has left the cluster's address and routes behind.
    OnHost::remedy()?.apply()?;
    let remedy = OnHost::remedy()?;
    let before = OnHost.run(NETWORK_STATE)?;
    // Not the port without TLS: here it would be one of the host itself.
    let cluster = Plain::start_on_host(lab()?, &name("host"), &["--env", &format!("{}=off", env::DOCKER_TCP)])?;
    cluster.wait_ready(BOOT_PATIENCE)?;
    let kubeconfig = cluster.fetch(Endpoint::Config.path())?;
    ensure!(kubeconfig.contains("server: https://127.0.0.1:8443\n"), "it names another server");
    one_node(&Kubectl::new(lab()?.kubectl(cluster.name())?, lab()?.directory()?, &kubeconfig)?)?;
    let during = OnHost.run(NETWORK_STATE)?;
    ensure!(
        during.contains(&format!(" {STATIC_IP}/32 ")) && during.contains("10.96.0.0/12 dev lo "),
        "the cluster is not in the host's network, which was\n{before}\nand now is\n{during}\nits log:\n{}",
        engine::logs(cluster.name())?
    );

    cluster.stop()?;
    let after = OnHost.run(NETWORK_STATE)?;
    ensure!(after == before, "the host's network was\n{before}\nand now is\n{after}");
    drop(cluster);
    remedy.apply()
}

/// What the cluster itself puts there and takes back: its address, and routes for its subnets. Not the links of pods,
/// which the kernel removes when it gets to it, nor those of other containers. And the engine's bridge, which stays as it is.
const NETWORK_STATE: &str = "ip -4 -oneline address show dev lo; ip -4 -oneline address show dev docker0 || true; \
                             ip route show | grep ' dev lo ' || true";

/// Looks at the host's network and repairs it, with the programs of the baked image.
struct OnHost;

impl OnHost {
    fn run(&self, script: &str) -> Result<String> {
        let image = lab()?.image()?;
        let arguments = ["run", "--rm", "--privileged", "--network", "host", "--entrypoint", "sh"];
        let label = ["--label", kubake_e2e::LABEL];
        engine::run(arguments.iter().chain(&label).copied().chain([image, "-ec", script]))
            .with_context(|| format!("on the host: {script}"))
    }

    /// Removes what Kubernetes leaves in a network (kube-proxy's, kubelet's and CNI's rules), what our dockerd changed of
    /// the engine's own bridge, and the address and routes in case the cluster did not get to that.
    fn remedy() -> Result<Remedy<'static>> {
        const LOCALNET: &str = "/proc/sys/net/ipv4/conf/all/route_localnet";
        let localnet = OnHost.run(&format!("cat {LOCALNET}"))?;
        let mtu = OnHost.run("cat /sys/class/net/docker0/mtu 2>/dev/null || true")?;
        let mut script = format!(
            "for family in iptables ip6tables; do $family-save | awk '{RULES}' | $family-restore --noflush; done
             ip address del {STATIC_IP}/32 dev lo 2>/dev/null || true
             for subnet in 10.96.0.0/12 10.244.0.0/16; do ip route del $subnet dev lo 2>/dev/null || true; done
             echo {localnet} > {LOCALNET}"
        );
        if !mtu.is_empty() {
            script.push_str(&format!("\nip link set docker0 mtu {mtu}"));
        }
        Ok(Remedy::new(move || OnHost.run(&script).map(drop)))
    }
}

/// Turns all rules into a list of changes that removes those of Kubernetes and touches no other: the engine may be adding
/// its own meanwhile. Naming a chain empties it; then nothing may lead to it before it can be deleted.
const RULES: &str = r#"
    /^\*/ { print; count = 0 }
    /^:(KUBE|CNI)-/ { print; chains[count++] = substr($1, 2) }
    /^-A / && !/^-A (KUBE|CNI)-/ && / (KUBE|CNI)-/ { sub(/^-A/, "-D"); print }
    /^COMMIT/ { for (i = 0; i < count; i++) print "-X " chains[i]; print }"#;
