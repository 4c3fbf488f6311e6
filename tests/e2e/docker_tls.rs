//! The Docker API over TLS: it works as any Docker with the certificates that the cluster serves, and refuses all other
//! clients. The port without TLS can be closed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::{Endpoint, env, exit, ports};
use kubake_e2e::cluster::BOOT_PATIENCE;
use kubake_e2e::engine::{self, Container};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::plain::Plain;
use kubake_e2e::probe::{self, Recipe};
use kubake_e2e::{PREFIX, process};
use tempfile::TempDir;

use crate::{Case, probe_program};

pub(crate) const CASES: &[Case] = &[
    ("over TLS the Docker API works with the served certificates only, and the port without can be closed", over_tls),
    ("a mistyped switch of the port without TLS is refused before anything starts", mistyped),
];

/// Time limit of `docker` on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The image that is built and run in the node; it is removed with the cluster.
const IMAGE: &str = "kubake-e2e/over-tls:1";

fn over_tls() -> Result<()> {
    let published = [ports::DOCKER, ports::DOCKER_TLS].map(|port| format!("127.0.0.1::{port}"));
    let closed = format!("{}=off", env::DOCKER_TCP);
    let arguments = ["--publish", &published[0], "--publish", &published[1], "--env", &closed];
    let cluster = Plain::start(lab()?, &format!("{PREFIX}-docker"), &arguments)?;
    cluster.wait(Endpoint::DockerReady.path(), BOOT_PATIENCE)?;
    let certificates = certificates(&cluster)?;
    let host = format!("tcp://127.0.0.1:{}", engine::published(cluster.name(), ports::DOCKER_TLS)?);
    let docker = |arguments: &[&str]| {
        let mut command = docker(&host, Some(certificates.path()));
        process::run(command.args(arguments), PATIENCE)?.success()
    };

    let named = docker(&["info", "--format", "{{.Name}}"])?;
    let node = engine::run(["exec", cluster.name(), "hostname"])?;
    ensure!(named.trim() == node, "the API is {named:?}'s and not {node:?}'s");
    docker(&["version"])?;
    let context = probe::context(probe_program(), Recipe::Plain("1"))?;
    docker(&["build", "--tag", IMAGE, &context.path().to_string_lossy()])?;
    let images = docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"])?;
    ensure!(images.lines().any(|image| image == IMAGE), "what was built is not listed: {images}");
    // One image store for both: what is built here is what pods can run.
    let images = engine::run(["exec", cluster.name(), "crictl", "images"])?;
    let (repository, _) = IMAGE.split_once(':').context("an image without a tag")?;
    ensure!(images.contains(repository), "Kubernetes does not see what was built: {images}");
    let said = docker(&["run", "--rm", IMAGE, "say", "through TLS"])?;
    ensure!(said == "through TLS\n", "{said:?}");
    ends_of_input(&host, certificates.path())?;
    refused(&cluster, &host, &certificates)
}

fn mistyped() -> Result<()> {
    let name = format!("{PREFIX}-mistyped");
    let mistyped = format!("{}=of", env::DOCKER_TCP);
    let container = Container::run(&name, ["--privileged", "--env", &mistyped, lab()?.image()?])?;
    let code = engine::run(["wait", container.name()])?;
    ensure!(code == exit::USAGE.to_string(), "it ended with code {code}");
    let log = engine::logs(container.name())?;
    ensure!(log.contains(env::DOCKER_TCP) && log.contains("`of`") && log.contains("`off`"), "{log}");
    Ok(())
}

/// Attached streams end one by one: the program sees the end of its input, and its last output still arrives.
fn ends_of_input(host: &str, certificates: &Path) -> Result<()> {
    let text = "a line\n".repeat(20_000);
    let directory = lab()?.directory()?;
    let input = directory.path().join("input");
    lab::write(&input, &text)?;
    let copies = |arguments: &[&str]| -> Result<()> {
        let mut command = docker_with_input(&input, host, Some(certificates));
        let copied = process::run(command.args(arguments), PATIENCE)?.success()?;
        ensure!(copied == text, "`docker {}` gave {} bytes for {}", arguments.join(" "), copied.len(), text.len());
        Ok(())
    };
    copies(&["run", "--rm", "--interactive", IMAGE, "copy"])?;
    let server = "over-tls";
    let mut command = docker(host, Some(certificates));
    process::run(command.args(["run", "--detach", "--name", server, IMAGE, "idle"]), PATIENCE)?.success()?;
    copies(&["exec", "--interactive", server, "/probe", "copy"])
}

/// Other clients are refused.
fn refused(cluster: &Plain, host: &str, certificates: &TempDir) -> Result<()> {
    let fails = |host: &str, certificates: Option<&Path>| -> Result<String> {
        let output = process::run(docker(host, certificates).args(["version"]), PATIENCE)?;
        ensure!(!output.status.success(), "it was let in: {output}");
        Ok(output.stderr)
    };
    let message = fails(host, None)?;
    ensure!(message.contains("without TLS?"), "`docker` is not led to what is wrong: {message}");
    // The CA is public, and knowing it is not enough. `docker` shows no certificate where there is none.
    let stranger = lab()?.directory()?;
    std::fs::copy(certificates.path().join("ca.pem"), stranger.path().join("ca.pem"))?;
    let message = fails(host, Some(stranger.path()))?;
    ensure!(message.contains("certificate required"), "`docker` does not report what is missing: {message}");

    // The engine's proxy accepts connections although no program listens behind it, so look in the node.
    let listens = |port: u16| {
        let script = format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
        engine::output(["exec", cluster.name(), "bash", "-c", &script])
    };
    ensure!(listens(ports::DOCKER_TLS)?.status.success(), "nothing listens on {}", ports::DOCKER_TLS);
    let message = listens(ports::DOCKER)?.failure(1)?;
    ensure!(message.contains("refused"), "port {} is not closed: {message}", ports::DOCKER);
    let plain = format!("tcp://127.0.0.1:{}", engine::published(cluster.name(), ports::DOCKER)?);
    fails(&plain, None)?;
    Ok(())
}

/// What `/docker-client.tar` holds, in a directory for `DOCKER_CERT_PATH`.
fn certificates(cluster: &Plain) -> Result<TempDir> {
    let archive = cluster.fetch(Endpoint::DockerClient.path())?;
    let directory = lab()?.directory()?;
    let path = directory.path().join("docker-client.tar");
    lab::write(&path, archive)?;
    let mut command = Command::new("tar");
    command.arg("--extract").arg("--file").arg(&path).arg("--directory").arg(directory.path());
    process::run(&mut command, PATIENCE)?.success()?;
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        let text = std::fs::read_to_string(directory.path().join(file)).with_context(|| format!("no {file}"))?;
        ensure!(text.starts_with("-----BEGIN "), "{file} is no PEM");
    }
    Ok(directory)
}

/// `docker` for another engine; with these certificates, or without TLS.
fn docker(host: &str, certificates: Option<&Path>) -> Command {
    let mut command = Command::new("docker");
    complete(&mut command, host, certificates);
    command
}

/// The same with something to read.
fn docker_with_input(input: &Path, host: &str, certificates: Option<&Path>) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "input=$1; shift; exec docker \"$@\" < \"$input\"", "sh"]).arg(input);
    complete(&mut command, host, certificates);
    command
}

/// The options, and nothing of what the environment says about Docker.
fn complete(command: &mut Command, host: &str, certificates: Option<&Path>) {
    for variable in ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_TLS", "DOCKER_CERT_PATH"] {
        command.env_remove(variable);
    }
    command.args(["--host", host]);
    if let Some(certificates) = certificates {
        command.env("DOCKER_CERT_PATH", certificates).arg("--tlsverify");
    }
}
