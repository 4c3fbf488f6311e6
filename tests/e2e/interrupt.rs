//! Ctrl-C: nothing unfinished is left afterwards.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kubake_contract::labels;
use kubake_e2e::cluster::ensure_no_trace;
use kubake_e2e::engine::{self, Container, Images};
use kubake_e2e::lab::{self, lab};
use kubake_e2e::process::{Background, Show};
use kubake_e2e::{PREFIX, poll};
use nix::sys::signal::Signal;

use crate::Case;

pub(crate) const CASES: &[Case] = &[
    ("Ctrl-C while a hook runs in a bake leaves nothing", during_hook),
    ("Ctrl-C while a bake is committed leaves nothing", during_commit),
    ("Ctrl-C during up leaves nothing", during_up),
];

/// From the signal to the prompt.
const PATIENCE: Duration = Duration::from_secs(30);
/// What shells expect of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

fn during_hook() -> Result<()> {
    // A hook that does not end stops the bake in the middle: daemons run in a build container.
    interrupted_bake("#!/bin/sh\necho waiting\nexec sleep 3600\n", |_, container| {
        let processes = engine::run(["top", container, "-eo", "pid,comm"])?;
        ensure!(processes.lines().any(|line| line.ends_with(" sleep")), "no hook among {processes}");
        Ok(())
    })
}

fn during_commit() -> Result<()> {
    // The engine commits also when its client is gone; with this file the commit takes seconds, so that the signal comes
    // in the middle.
    interrupted_bake("#!/bin/sh\nexec head -c 1500M /dev/zero >/ballast\n", |bake, _| {
        let said = bake.stderr();
        ensure!(said.lines().any(|line| line.starts_with("+ docker") && line.contains(" commit ")), "{said}");
        Ok(())
    })
}

/// Bakes with a hook of its own, interrupts when `moment` has come, and checks that nothing is left.
fn interrupted_bake(script: &str, moment: impl Fn(&Background, &str) -> Result<()>) -> Result<()> {
    lab()?.image()?;
    let directory = lab()?.directory()?;
    // Different in each run: with unchanged inputs the bake would be skipped.
    let script = format!("{script}# {}\n", directory.path().display());
    let hook = directory.path().join("hooks/before-cluster/10-mine");
    lab::write(&hook, script)?;
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).context("cannot make a hook executable")?;
    let hooks = directory.path().join("hooks");
    let hooks = hooks.to_str().context("a path that is no text")?;
    let image = "kubake-e2e/interrupted:1";
    let _image = Images::guard([image]);
    let nameless = engine::nameless_images()?;

    // Verbose, so that it prints the commands of the engine.
    let mut command = lab()?.kubake(directory.path(), ["bake", "--verbose", "--tag", image, "--hooks-dir", hooks]);
    let mut bake = Background::start(&mut command, Show::Nothing)?;
    let label = format!("{}={}", labels::BUILD, bake.id());
    let reached = poll::until("the moment for Ctrl-C", Duration::from_secs(300), || {
        if let Some(status) = bake.ended()? {
            return Ok(Err(status));
        }
        let containers = engine::containers(&label)?;
        let container = containers.first().context("there is no build container")?;
        moment(&bake, container)?;
        Ok(Ok(container.clone()))
    })?;
    let container = reached.map_err(|status| anyhow::anyhow!("the bake ended with {status}: {}", bake.stderr()))?;
    let _container = Container::guard(&container);
    let volumes = engine::volumes_of(&container)?;

    bake.signal(Signal::SIGINT)?;
    let output = bake.wait(PATIENCE)?;
    ensure!(output.status.code() == Some(INTERRUPTED), "{output}");
    ensure!(!output.stderr.contains("panicked"), "{output}");
    ensure!(engine::containers(&label)?.is_empty(), "the build container was left behind: {output}");
    no_volume_of(&volumes)?;
    poll::throughout(Duration::from_secs(3), || {
        ensure!(!engine::output(["image", "inspect", image])?.status.success(), "an image was made: {output}");
        let left: Vec<_> = engine::nameless_images()?.difference(&nameless).cloned().collect();
        ensure!(left.is_empty(), "images without a name were left behind: {left:?}");
        Ok(())
    })
}

fn during_up() -> Result<()> {
    let image = lab()?.image()?;
    let directory = lab()?.directory()?;
    let kubeconfig = lab::kubeconfig(directory.path());
    let before = "apiVersion: v1\nkind: Config\n# mine\n";
    lab::write(&kubeconfig, before)?;
    let name = format!("{PREFIX}-interrupted");
    let label = engine::cluster_label(&name);

    let arguments = ["up", "--name", &name, "--image", image, "--api-port", "auto", "--http-port", "auto"];
    let mut up = Background::start(&mut lab()?.kubake(directory.path(), arguments), Show::Nothing)?;
    let container = poll::until("the container runs", Duration::from_secs(60), || {
        if let Some(status) = up.ended()? {
            return Ok(Err(status));
        }
        let container = engine::containers(&label)?.first().cloned().context("there is no container")?;
        ensure!(engine::inspect(&container, ".State.Running")? == "true", "it is not started");
        Ok(Ok(container))
    })?;
    let container = container.map_err(|status| anyhow::anyhow!("up ended with {status}: {}", up.stderr()))?;
    let _container = Container::guard(&container);
    let volumes = engine::volumes_of(&container)?;

    up.signal(Signal::SIGINT)?;
    let output = up.wait(PATIENCE)?;
    ensure!(output.status.code() == Some(INTERRUPTED), "{output}");
    ensure_no_trace(&name).with_context(|| output.to_string())?;
    no_volume_of(&volumes)?;
    let after = std::fs::read_to_string(&kubeconfig).context("the kubeconfig is gone")?;
    ensure!(after == before, "the kubeconfig is now {after:?}");
    let files: Vec<_> =
        std::fs::read_dir(directory.path())?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    ensure!(files.len() == 1, "files were left beside the kubeconfig: {files:?}");
    Ok(())
}

fn no_volume_of(volumes: &BTreeSet<String>) -> Result<()> {
    ensure!(!volumes.is_empty(), "the container had no volume; is this still the right container?");
    let left: Vec<_> = engine::volumes()?.intersection(volumes).cloned().collect();
    ensure!(left.is_empty(), "volumes were left behind: {left:?}");
    Ok(())
}
