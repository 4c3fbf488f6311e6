//! The identity of a container: it makes its own keys and certificates at its first boot and keeps them, shares nothing with
//! another container of the same image, and variables decide what its certificates hold.
//!
//! Two clusters serve most cases: the shared one, made with `kubake up`, and the lab's other one, made with `docker run`
//! and with variables about certificates.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::{env, exit, names, paths, ports};
use kubake_e2e::cluster::Cluster;
use kubake_e2e::engine::{self, Container};
use kubake_e2e::kubectl::Kubectl;
use kubake_e2e::lab::{self, lab};
use kubake_e2e::openssl::{self, Authority, KeyForm};
use kubake_e2e::process::Output;
use kubake_e2e::shared::{OTHER_SANS, OTHER_VALIDITY};
use kubake_e2e::{LABEL, PREFIX, manifests};
use serde_json::Value;

use crate::{Case, PROBE, build_probe, restart};

pub(crate) const CASES: &[Case] = &[
    ("two containers of one image have no part of their identity in common", nothing_shared),
    ("a container refuses what another one handed out", refused_elsewhere),
    ("names and addresses of `KUBAKE_CERT_SANS` are in the API server's certificate", more_names),
    ("certificates are valid as long as `KUBAKE_CERT_VALIDITY` says", validity),
    ("everything in the cluster that holds trust holds the present one", trust),
    ("logs and exec reach a kubelet whose certificate is verified", verified_kubelet),
    ("the served kubeconfig is an administrator's and no system:masters", no_masters),
    ("docker restart keeps the whole identity, and a kubeconfig from before works after", restarted),
    ("a cluster uses the CA that the user brings, in every form of its key", own_authority),
    ("a cluster CA that cannot be one is reported in one sentence that names the variable", refused_authority),
];

/// Public files of a container's identity: what each is, and its path.
const FILES: [(&str, &str); 9] = [
    ("cluster CA", "/etc/kubernetes/pki/ca.crt"),
    ("front proxy's CA", "/etc/kubernetes/pki/front-proxy-ca.crt"),
    ("etcd's CA", "/etc/kubernetes/pki/etcd/ca.crt"),
    ("API server's certificate", "/etc/kubernetes/pki/apiserver.crt"),
    ("key of service accounts", "/etc/kubernetes/pki/sa.pub"),
    ("kubelet's serving certificate", "/var/lib/kubelet/pki/kubelet.crt"),
    ("machine id", "/etc/machine-id"),
    ("Docker's CA", "/etc/kubake/docker/ca.pem"),
    ("Docker's certificate", "/etc/kubake/docker/server-cert.pem"),
];

/// The whole identity of a container, by the name of each part. Of private keys, which stay in the container, the public half.
fn identity(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let mut identity = BTreeMap::new();
    for (what, path) in FILES {
        let text = cluster.node(&["cat", path])?;
        let form = if path.ends_with(".crt") || path.ends_with(".pem") {
            "-----BEGIN CERTIFICATE-----"
        } else if path.ends_with(".pub") {
            "-----BEGIN PUBLIC KEY-----"
        } else {
            ""
        };
        ensure!(text.trim().len() >= 32 && text.starts_with(form), "{path} of {} holds {text:?}", cluster.name());
        if form.contains("CERTIFICATE") {
            // A new certificate of an old key would be no new identity.
            identity.insert(format!("key of the {what}"), openssl::public_key(&text)?);
        }
        identity.insert(what.to_owned(), text);
    }
    let config = cluster.kubectl()?.json(["config", "view", "--raw"])?;
    let user = &config["users"][0]["user"];
    let certificate = decoded(&user["client-certificate-data"])?;
    identity.insert("key of the administrator's certificate".to_owned(), openssl::public_key(&certificate)?);
    identity.insert("administrator's certificate".to_owned(), certificate);
    ensure!(decoded(&user["client-key-data"])?.contains("PRIVATE KEY-----"), "a kubeconfig without a key");
    let authority = decoded(&config["clusters"][0]["cluster"]["certificate-authority-data"])?;
    ensure!(same(&authority, &identity["cluster CA"]), "the served kubeconfig trusts another CA than the cluster's");
    identity.insert("certificate that the API server serves".to_owned(), served(cluster)?);
    Ok(identity)
}

/// A text that is in base64 in a kubeconfig.
fn decoded(value: &Value) -> Result<String> {
    let encoded = value.as_str().context("a kubeconfig lacks something")?;
    let bytes = STANDARD.decode(encoded).context("a kubeconfig holds no base64")?;
    String::from_utf8(bytes).context("a kubeconfig holds no text in base64")
}

/// Whether two certificates are the same but for what is around them.
fn same(one: &str, other: &str) -> bool {
    one.trim() == other.trim()
}

/// The certificate that the API server presents on this host.
fn served(cluster: &Cluster) -> Result<String> {
    openssl::served(engine::published(cluster.container(), ports::API)?)
}

fn authority(cluster: &Cluster) -> Result<String> {
    cluster.node(&["cat", "/etc/kubernetes/pki/ca.crt"])
}

fn nothing_shared() -> Result<()> {
    let (shared, other) = (lab()?.shared()?, lab()?.other()?);
    let (one, two) = (identity(&shared)?, identity(&other)?);
    let common: Vec<&str> =
        one.iter().filter(|(what, text)| two.get(*what) == Some(text)).map(|(what, _)| what.as_str()).collect();
    ensure!(common.is_empty(), "two containers of one image have in common: {}", common.join(", "));
    Ok(())
}

/// Arguments with which `kubectl` reaches this cluster with the credentials of whichever kubeconfig it has.
fn reaching(cluster: &Cluster) -> Result<[String; 2]> {
    // By the name that is in every API server's certificate, so that only the authority is in question.
    Ok([format!("--server={}", cluster.api_server()?), format!("--tls-server-name={}", names::TLS_SERVER)])
}

fn refused_elsewhere() -> Result<()> {
    let (shared, other) = (lab()?.shared()?, lab()?.other()?);
    for (mine, theirs) in [(&shared, &other), (&other, &shared)] {
        let (kubectl, [server, name]) = (mine.kubectl()?, reaching(theirs)?);
        let message = failed(kubectl.output([&server, &name, "get", "nodes"])?)?;
        let is_unknown = message.contains("x509") && message.contains("unknown authority");
        ensure!(is_unknown, "the other container is not refused as a stranger: {message}");
        // A client that does not verify the server is refused by the server.
        let message = failed(kubectl.output([&server, "--insecure-skip-tls-verify", "get", "nodes"])?)?;
        ensure!(is_unauthorized(&message), "the other container does not refuse the certificate: {message}");
        let token = kubectl.run(["create", "token", "default"])?;
        with_token(mine, &kubectl, &token)?.success().context("a token where it was made")?;
        let message = failed(with_token(theirs, &kubectl, &token)?)?;
        ensure!(is_unauthorized(&message), "the other container does not refuse the token: {message}");
    }
    Ok(())
}

/// The output of a command that must have failed.
fn failed(output: Output) -> Result<String> {
    ensure!(!output.status.success(), "this should have been refused: {output}");
    Ok(output.stderr)
}

fn is_unauthorized(message: &str) -> bool {
    message.contains("Unauthorized") || message.contains("You must be logged in to the server")
}

/// The user that a cluster sees in a token; the request has nothing but the token and the cluster's CA.
pub(crate) fn with_token(cluster: &Cluster, kubectl: &Kubectl, token: &str) -> Result<Output> {
    let directory = lab()?.directory()?;
    let file = directory.path().join("ca.crt");
    lab::write(&file, authority(cluster)?)?;
    let trusts = format!("--certificate-authority={}", file.display());
    let [server, name] = reaching(cluster)?;
    // Without a kubeconfig: its client certificate would count more than the token.
    let arguments = ["--kubeconfig=/dev/null", &server, &name, &trusts, "--token", token];
    kubectl.output(arguments.iter().chain(&["auth", "whoami", "--output", "json"]))
}

fn more_names() -> Result<()> {
    let (shared, other) = (lab()?.shared()?, lab()?.other()?);
    let kubectl = other.kubectl()?;
    let ask = |name: &str| kubectl.output([&format!("--tls-server-name={name}"), "get", "--raw", "/readyz"]);
    for name in OTHER_SANS.into_iter().chain([names::TLS_SERVER, "kubernetes.default.svc.cluster.local", "127.0.0.1"]) {
        let answer = ask(name)?.success().with_context(|| format!("as `{name}`"))?;
        ensure!(answer.trim() == "ok", "as `{name}` it answers {answer:?}");
    }
    for name in ["wrong.example", "10.1.2.4"] {
        let message = failed(ask(name)?)?;
        ensure!(message.contains("x509") && message.contains(name), "as `{name}`: {message}");
    }
    // The first cluster was started without them.
    let kubectl = shared.kubectl()?;
    let [name, _] = OTHER_SANS;
    let message = failed(kubectl.output([&format!("--tls-server-name={name}"), "get", "--raw", "/readyz"])?)?;
    ensure!(message.contains("x509") && message.contains(name), "as `{name}`: {message}");
    Ok(())
}

fn validity() -> Result<()> {
    let hour = Duration::from_secs(3600);
    let year = 24 * 365 * hour;
    let (shared, other) = (lab()?.shared()?, lab()?.other()?);
    for (cluster, least, most) in
        [(&other, OTHER_VALIDITY - hour, OTHER_VALIDITY + hour), (&shared, 9 * year, 11 * year)]
    {
        let identity = identity(cluster)?;
        for what in
            ["certificate that the API server serves", "administrator's certificate", "kubelet's serving certificate"]
        {
            let certificate = &identity[what];
            let is_long = openssl::is_valid_after(certificate, least)?;
            let is_short = !openssl::is_valid_after(certificate, most)?;
            let hours = (least.as_secs() / 3600, most.as_secs() / 3600);
            ensure!(is_long, "{what} of {} is not valid for {} hours", cluster.name(), hours.0);
            ensure!(is_short, "{what} of {} is still valid after {} hours", cluster.name(), hours.1);
        }
    }
    Ok(())
}

/// Checks every object that the bake froze with a place for a CA.
fn holds_present_trust(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl()?;
    let present = authority(cluster)?;
    let namespaces = kubectl.json(["get", "namespaces"])?;
    let namespaces = namespaces["items"].as_array().context("namespaces without items")?;
    // One that another case has just deleted may have lost it already.
    let active = namespaces.iter().filter(|one| one["status"]["phase"] == "Active");
    let active: Vec<&str> = active.filter_map(|one| one["metadata"]["name"].as_str()).collect();
    ensure!(active.contains(&"kube-system") && active.contains(&"default"), "the namespaces are {active:?}");
    for namespace in active {
        let map = kubectl.json(["get", "configmap", "kube-root-ca.crt", "--namespace", namespace])?;
        let held = map["data"]["ca.crt"].as_str().unwrap_or_default();
        ensure!(same(held, &present), "kube-root-ca.crt in {namespace} is not the cluster's CA: {held}");
    }

    let info = kubectl.json(["get", "configmap", "cluster-info", "--namespace", "kube-public"])?;
    let kubeconfig = info["data"]["kubeconfig"].as_str().context("cluster-info without a kubeconfig")?;
    let line = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data:"));
    let held = decoded(&line.context("cluster-info without a CA")?.trim().into())?;
    ensure!(same(&held, &present), "cluster-info is not about the cluster's CA: {held}");
    let data = info["data"].as_object().context("cluster-info without data")?;
    let signatures: Vec<&String> = data.keys().filter(|key| key.starts_with("jws-")).collect();
    ensure!(signatures.is_empty(), "cluster-info is signed with a bootstrap token: {signatures:?}");

    let map = kubectl.json(["get", "configmap", "extension-apiserver-authentication", "--namespace", "kube-system"])?;
    let front_proxy = cluster.node(&["cat", "/etc/kubernetes/pki/front-proxy-ca.crt"])?;
    for (key, expected) in [("client-ca-file", &present), ("requestheader-client-ca-file", &front_proxy)] {
        let held = map["data"][key].as_str().unwrap_or_default();
        ensure!(same(held, expected), "{key} of extension-apiserver-authentication is not the present one: {held}");
    }
    Ok(())
}

fn trust() -> Result<()> {
    for cluster in [lab()?.shared()?, lab()?.other()?] {
        holds_present_trust(&cluster).with_context(|| format!("cluster {}", cluster.name()))?;
    }
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("trust")?;
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    for (pod, file) in [("trusts", "ca.crt"), ("is", "token")] {
        namespace.apply(manifests::pod(pod, PROBE, &["read", &format!("{account}/{file}")]))?;
    }
    let mounted = namespace.wait_done("trusts")?;
    ensure!(same(&mounted, &authority(&cluster)?), "a pod trusts another CA: {mounted}");
    for (origin, token) in
        [("a pod", namespace.wait_done("is")?), ("kubectl", namespace.run(["create", "token", "default"])?)]
    {
        let answer = with_token(&cluster, &kubectl, token.trim())?.success()?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("no JSON: {answer}"))?;
        let name = &answer["status"]["userInfo"]["username"];
        let expected = format!("system:serviceaccount:{}:default", namespace.name());
        ensure!(*name == expected, "the token of {origin} is {name}");
    }
    Ok(())
}

fn verified_kubelet() -> Result<()> {
    let cluster = lab()?.shared()?;
    let manifest = cluster.node(&["cat", &format!("{}/kube-apiserver.yaml", paths::MANIFESTS)])?;
    let trusted = manifest.lines().find_map(|line| line.trim().strip_prefix("- --kubelet-certificate-authority="));
    let trusted =
        trusted.context("the API server does not verify kubelet: --kubelet-certificate-authority is missing")?;
    let trusted = cluster.node(&["cat", trusted])?;
    openssl::verify(&trusted, &cluster.node(&["cat", "/var/lib/kubelet/pki/kubelet.crt"])?)?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("kubelet")?;
    namespace.apply(manifests::server("web", PROBE, "anything"))?;
    namespace.wait_ready("web")?;
    ensure!(namespace.run(["logs", "web"])?.contains("serving on"), "the log of a pod lacks its first line");
    let said = namespace.run(["exec", "web", "--", "/probe", "say", "verified"])?;
    ensure!(said == "verified", "exec gives {said:?}");
    Ok(())
}

fn no_masters() -> Result<()> {
    let kubectl = lab()?.shared()?.kubectl()?;
    let me = kubectl.json(["auth", "whoami"])?;
    let groups = me["status"]["userInfo"]["groups"].as_array().with_context(|| format!("nobody's groups: {me}"))?;
    let is_in = |name: &str| groups.iter().any(|group| group == name);
    // Unlike this one, the other passes every authorization and cannot be revoked.
    ensure!(is_in("kubeadm:cluster-admins") && !is_in("system:masters"), "the kubeconfig's groups are {groups:?}");
    ensure!(kubectl.run(["auth", "can-i", "*", "*", "--all-namespaces"])? == "yes");
    Ok(())
}

fn restarted() -> Result<()> {
    let cluster = lab()?.other()?;
    let before = identity(&cluster)?;
    let address = engine_address(&cluster)?;
    // It holds a kubeconfig that was fetched now.
    let kubectl = cluster.kubectl()?;
    let token = kubectl.run(["create", "token", "default"])?;
    engine::run(["restart", cluster.container()])?;
    restart::boots_again(&cluster)?;

    let nodes = kubectl.run(["get", "nodes", "--output", "name"]).context("with the kubeconfig from before")?;
    ensure!(nodes == format!("node/{}", names::CONTROL_PLANE), "{nodes:?}");
    with_token(&cluster, &kubectl, &token)?.success().context("with a token from before")?;
    let after = identity(&cluster)?;
    let changed: Vec<&str> = before
        .iter()
        .filter(|(what, text)| !after.get(*what).is_some_and(|now| same(now, text)))
        .map(|(what, _)| what.as_str())
        // The engine may have given the container another address, and then certificates are made for that; what they
        // are signed with stays.
        .filter(|what| engine_address(&cluster).is_ok_and(|now| now == address) || is_for_life(what))
        .collect();
    ensure!(changed.is_empty(), "a restart changed: {}", changed.join(", "));
    holds_present_trust(&cluster).context("after a restart")
}

/// The address that the engine gave to a container.
fn engine_address(cluster: &Cluster) -> Result<String> {
    engine::run([
        "inspect",
        "--format",
        "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
        cluster.container(),
    ])
}

/// Whether a part of the identity stays the same when the container's address changes.
fn is_for_life(what: &str) -> bool {
    what.ends_with(" CA") || what == "key of service accounts" || what == "machine id"
}

/// How an authority is handed to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Handed {
    AsText,
    AsFiles,
}

/// Where the files are mounted.
const MOUNT: &str = "/run/kubake-e2e";

fn arguments(authority: &Authority, handed: Handed) -> Vec<String> {
    match handed {
        Handed::AsText => vec![
            format!("--env={}={}", env::CA_CERT, authority.certificate),
            format!("--env={}={}", env::CA_KEY, authority.key),
        ],
        Handed::AsFiles => vec![
            format!("--volume={}:{MOUNT}:ro", authority.directory().display()),
            format!("--env={}={MOUNT}/{}", env::CA_CERT, Authority::CERTIFICATE_FILE),
            format!("--env={}={MOUNT}/{}", env::CA_KEY, Authority::KEY_FILE),
        ],
    }
}

fn own_authority() -> Result<()> {
    lab()?.retire_other();
    for (form, handed) in
        [(KeyForm::Sec1, Handed::AsText), (KeyForm::Pkcs8, Handed::AsFiles), (KeyForm::Rsa, Handed::AsText)]
    {
        owned(form, handed).with_context(|| format!("a CA whose key is {form:?}, handed over {handed:?}"))?;
    }
    Ok(())
}

fn owned(form: KeyForm, handed: Handed) -> Result<()> {
    let mine = Authority::make(form)?;
    let arguments = arguments(&mine, handed);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let cluster = Cluster::run(lab()?, &format!("{PREFIX}-own-ca"), &arguments)?;
    let check = || -> Result<()> {
        let identity = identity(&cluster)?;
        ensure!(same(&identity["cluster CA"], &mine.certificate), "the cluster's CA is another one");
        for what in ["certificate that the API server serves", "administrator's certificate"] {
            openssl::verify(&mine.certificate, &identity[what]).with_context(|| what.to_owned())?;
        }
        // The cluster's CA must not open the Docker API.
        ensure!(
            identity["key of the Docker's CA"] != openssl::public_key(&mine.certificate)?,
            "Docker's CA is the same"
        );
        let nodes = cluster.kubectl()?.run(["get", "nodes", "--output", "name"])?;
        ensure!(nodes == format!("node/{}", names::CONTROL_PLANE), "{nodes:?}");
        holds_present_trust(&cluster)
    };
    check()?;
    if handed == Handed::AsFiles {
        // The variables are still set to the same values.
        engine::run(["restart", cluster.container()])?;
        restart::boots_again(&cluster)?;
        check().context("after a restart")?;
    }
    Ok(())
}

/// Variables of a container, with their values.
type Variables<'a> = &'a [(&'a str, &'a str)];

fn refused_authority() -> Result<()> {
    lab()?.retire_other();
    let (mine, another) = (Authority::make(KeyForm::Sec1)?, Authority::make(KeyForm::Pkcs8)?);
    let garbage = "kubake-e2e-garbage";
    let (certificate, key) = (mine.certificate.as_str(), mine.key.as_str());
    let cases: [(&str, Variables<'_>, &str); 8] = [
        ("a key of another certificate", &[(env::CA_CERT, certificate), (env::CA_KEY, &another.key)], env::CA_KEY),
        ("no certificate", &[(env::CA_CERT, garbage), (env::CA_KEY, key)], env::CA_CERT),
        ("no key", &[(env::CA_CERT, certificate), (env::CA_KEY, garbage)], env::CA_KEY),
        ("a certificate for a key", &[(env::CA_CERT, certificate), (env::CA_KEY, certificate)], env::CA_KEY),
        ("a path to nothing", &[(env::CA_CERT, "/no/such/ca.crt"), (env::CA_KEY, key)], env::CA_CERT),
        ("a certificate alone", &[(env::CA_CERT, certificate)], env::CA_KEY),
        ("a validity that is none", &[(env::CERT_VALIDITY, "for ever")], env::CERT_VALIDITY),
        ("a name that is none", &[(env::CERT_SANS, "ok.example,no:name")], env::CERT_SANS),
    ];
    for (what, variables, named) in cases {
        refused(variables, named, key).with_context(|| what.to_owned())?;
    }
    Ok(())
}

/// Checks that a container with these variables ends before it changes anything, with one sentence that names one of
/// them and does not give the key away.
fn refused(variables: Variables<'_>, named: &str, key: &str) -> Result<()> {
    let image = lab()?.image()?;
    let name = format!("{PREFIX}-refused");
    // In case it is not refused.
    let _container = Container::guard(name.as_str());
    let variables: Vec<String> = variables.iter().map(|(name, value)| format!("--env={name}={value}")).collect();
    let run = ["run", "--rm", "--privileged", "--name", &name, "--label", LABEL];
    let output = engine::output(run.into_iter().chain(variables.iter().map(String::as_str)).chain([image]))?;
    // Not the whole output: its command line holds the key.
    let message =
        format!("it ended with {}\n--- stdout\n{}\n--- stderr\n{}", output.status, output.stdout, output.stderr);
    ensure!(output.status.code() == Some(exit::USAGE), "it should end with {}: {message}", exit::USAGE);
    ensure!(output.stderr.contains(named), "it does not name {named}: {message}");
    ensure!(output.stderr.lines().count() <= 3, "one sentence is enough: {message}");
    let secret = key.lines().nth(1).context("a key without content")?;
    ensure!(!output.stderr.contains(secret), "it gives the key away: {message}");
    Ok(())
}
