//! Every mistake on this machine is reported in one clear sentence, with an exit code that is not zero, and nothing is
//! left behind.

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::{exit, labels};
use kubake_e2e::PREFIX;
use kubake_e2e::cluster::ensure_no_trace;
use kubake_e2e::engine::{self, Network};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::process::Output;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("a container without --privileged says so and ends with 64", not_privileged),
    ("keys that are mounted where the container makes its own are refused and stay", mounted_identity),
    ("an archive that is none is reported before anything is baked", no_archive),
    ("an occupied host port is reported, and nothing is left", occupied_port),
    ("an occupied static IP is reported, and nothing is left", occupied_static_ip),
    ("a kubeconfig that cannot be understood stays as it is", broken_kubeconfig),
];

/// A refusal takes moments.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Checks the form of a refusal and returns its text: it ended with this code, and it is a short `error:` that contains all
/// of these words.
pub(crate) fn refusal(output: Output, code: i32, named: &[&str]) -> Result<String> {
    let text = output.clone().failure(code)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    ensure!(lines.iter().any(|line| line.starts_with("error: ")), "no line says `error:`: {output}");
    for word in named {
        ensure!(text.contains(word), "it does not name `{word}`: {output}");
    }
    ensure!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "it panicked: {output}");
    ensure!(output.stdout.is_empty(), "stdout is for data: {output}");
    Ok(text)
}

fn not_privileged() -> Result<()> {
    let image = lab()?.image()?;
    let volumes = engine::volumes()?;
    let output = engine::output(["run", "--rm", "--label", kubake_e2e::LABEL, image])?;
    let text = output.clone().failure(exit::USAGE)?;
    ensure!(text.contains("--privileged"), "{output}");
    ensure!(text.lines().count() <= 3, "one sentence is enough: {output}");
    let left: Vec<_> = engine::volumes()?.difference(&volumes).cloned().collect();
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    Ok(())
}

fn mounted_identity() -> Result<()> {
    let image = lab()?.image()?;
    let directory = lab()?.directory()?;
    let key = directory.path().join("ca.key");
    lab::write(&key, "the only copy")?;
    let volume = format!("{}:/etc/kubernetes/pki", directory.path().to_str().context("a path that is no text")?);
    let arguments = ["run", "--rm", "--privileged", "--volume", &volume, "--label", kubake_e2e::LABEL, image];
    let text = engine::output(arguments)?.failure(exit::USAGE)?;
    ensure!(text.contains("/etc/kubernetes/pki is a mount") && text.contains("KUBAKE_CA_KEY"), "{text}");
    ensure!(std::fs::read_to_string(key)? == "the only copy");
    Ok(())
}

fn no_archive() -> Result<()> {
    // Brings an engine, which lists what is left.
    lab()?.image()?;
    let directory = lab()?.directory()?;
    let images = directory.path().join("images.d");
    lab::write(&images.join("notes.tar"), "these are notes\n")?;
    let images = images.to_str().context("a path that is no text")?;
    let image = "kubake-e2e/never:1";
    let before = engine::containers(labels::BUILD)?;
    let output = lab()?.run(directory.path(), PATIENCE, ["bake", "--tag", image, "--images-dir", images])?;
    let code = output.status.code().unwrap_or_default();
    ensure!(code != 0, "{output}");
    refusal(output, code, &["notes.tar", "not an image archive"])?;
    ensure!(!engine::output(["image", "inspect", image])?.status.success(), "an image was made");
    let left: Vec<_> = engine::containers(labels::BUILD)?.difference(&before).cloned().collect();
    ensure!(left.is_empty(), "build containers were left behind: {left:?}");
    Ok(())
}

/// Runs an `up` that must be refused, and checks that it left nothing behind.
fn refused_up(name: &str, named: &[&str], arguments: &[&str]) -> Result<()> {
    let image = lab()?.image()?;
    let directory = lab()?.directory()?;
    let kubeconfig = lab::kubeconfig(directory.path());
    let before = std::fs::read(&kubeconfig).ok();
    let volumes = engine::volumes()?;
    let up = ["up", "--name", name, "--image", image];
    let output = lab()?.run(directory.path(), PATIENCE, up.iter().chain(arguments))?;
    let code = output.status.code().unwrap_or_default();
    ensure!(code != 0, "it was not refused: {output}");
    refusal(output, code, named)?;
    ensure_no_trace(name)?;
    let left: Vec<_> = engine::volumes()?.difference(&volumes).cloned().collect();
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    ensure!(std::fs::read(&kubeconfig).ok() == before, "the kubeconfig was touched");
    Ok(())
}

fn occupied_port() -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on any port")?;
    let port = listener.local_addr().context("a listener without an address")?.port().to_string();
    let name = format!("{PREFIX}-port");
    refused_up(&name, &[&port], &["--http-port", &port, "--api-port", "auto"])?;
    refused_up(&name, &[&port], &["--http-port", "auto", "--api-port", &port])
}

fn occupied_static_ip() -> Result<()> {
    lab()?.image()?;
    // The engine itself has the address: it is the gateway of a network that serves another purpose.
    let network = Network::create(&format!("{PREFIX}-taken"), "172.30.99.0/24", "172.30.99.1")?;
    let name = format!("{PREFIX}-static-ip");
    let arguments = ["--network", network.name(), "--http-port", "auto", "--api-port", "auto"];
    refused_up(&name, &["172.30.99.1"], &arguments)?;

    // The same without `kubake up`, as a CI system starts it: the container ends and its log says why.
    let image = lab()?.image()?;
    let run = ["run", "--rm", "--privileged", "--label", kubake_e2e::LABEL, "--network", network.name(), image];
    let output = engine::output(run)?;
    ensure!(output.status.code().is_some_and(|code| code != 0), "{output}");
    let error = output.stderr.lines().rfind(|line| line.starts_with("ERROR")).unwrap_or_default();
    ensure!(error.contains("172.30.99.1"), "the last error does not say why: {output}");
    Ok(())
}

fn broken_kubeconfig() -> Result<()> {
    let image = lab()?.image()?;
    let directory = lab()?.directory()?;
    let kubeconfig = lab::kubeconfig(directory.path());
    let name = format!("{PREFIX}-kubeconfig");
    for broken in ["clusters: [unfinished\n", "just a sentence\n"] {
        lab::write(&kubeconfig, broken)?;
        let arguments = ["up", "--name", &name, "--image", image, "--http-port", "auto", "--api-port", "auto"];
        let output = lab()?.run(directory.path(), PATIENCE, arguments)?;
        let code = output.status.code().unwrap_or_default();
        ensure!(code != 0, "it was not refused: {output}");
        let path = kubeconfig.to_str().context("a path that is no text")?;
        refusal(output, code, &[path])?;
        ensure_no_trace(&name)?;
        let after = std::fs::read_to_string(&kubeconfig).context("the kubeconfig is gone")?;
        ensure!(after == broken, "the kubeconfig is now {after:?}");
        let files: Vec<_> =
            std::fs::read_dir(directory.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
        ensure!(files.len() == 1, "files were left beside it: {files:?}");
    }
    Ok(())
}
