//! Volumes of the default StorageClass, and emptyDirs.

use anyhow::{Context, Result, ensure};
use kubake_contract::{names, paths};
use kubake_e2e::cluster::BOOT_PATIENCE;
use kubake_e2e::engine;
use kubake_e2e::kubectl::{Namespace, POD_PATIENCE};
use kubake_e2e::lab::lab;
use kubake_e2e::plain::Plain;
use kubake_e2e::{PREFIX, manifests, poll};
use serde_json::json;

use crate::{Case, PROBE, build_probe};

pub(crate) const CASES: &[Case] = &[
    ("what one pod writes to a claim of the default class another one reads", claim),
    ("a claim belongs to the pod's fsGroup, and pods of another one cannot write to it", fs_group),
    ("claims and emptyDirs lie on a file system on which overlay works", overlay),
    ("a claim that no directory can serve is refused with the reason", refused),
    ("a new container boots with the anonymous volumes of another one, once that is stopped", handed_on),
    ("a pod with a user namespace of its own runs and can write to its volumes", user_namespace),
];

fn claim() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let classes = kubectl.json(["get", "storageclasses"])?;
    let is_default = &classes["items"][0]["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"];
    ensure!(classes["items"][0]["metadata"]["name"] == names::STORAGE_CLASS && is_default == "true", "{classes}");

    let namespace = kubectl.namespace("storage")?;
    ensure!(classes["items"][0]["volumeBindingMode"] == "WaitForFirstConsumer", "{classes}");
    namespace.apply(manifests::claim("data"))?;
    written(&namespace, "data", "kept")?;
    wait_bound(&namespace, "data")?;
    let name = volume_of(&namespace, "data")?;
    let volume = kubectl.json(["get", "persistentvolume", &name])?;
    let terms = &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"];
    ensure!(volume["spec"]["local"]["path"].is_string() && terms.is_array(), "{volume}");
    let read = read(&namespace, "reader", "data")?;
    ensure!(read == "kept", "the other pod reads {read:?}");

    // The disk must not fill with volumes of deleted claims.
    namespace.run(["delete", "pods", "--all", "--wait"])?;
    namespace.run(["delete", "persistentvolumeclaim", "data", "--wait"])?;
    poll::until("the volume is gone with its claim", POD_PATIENCE, || {
        let left = kubectl.run(["get", "persistentvolume", &name, "--ignore-not-found"])?;
        ensure!(left.is_empty(), "{left}");
        let directories = cluster.node(&["ls", paths::VOLUMES])?;
        ensure!(!directories.contains(&name), "{directories}");
        Ok(())
    })
}

fn fs_group() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("fs-group")?;
    namespace.apply(manifests::claim("data"))?;
    let mut pod = manifests::pod_with_claim("writer", PROBE, &["write", "/data/file", "kept"], "data");
    pod["spec"]["securityContext"] = json!({ "runAsUser": 1000, "runAsNonRoot": true, "fsGroup": 3000 });
    namespace.apply(pod)?;
    namespace.wait_done("writer")?;
    let path = format!("{}/{}", paths::VOLUMES, volume_of(&namespace, "data")?);
    let owners = cluster.node(&["stat", "--format", "%u:%g", &path, &format!("{path}/file")])?;
    ensure!(owners.split_whitespace().collect::<Vec<_>>() == ["0:3000", "1000:3000"], "{owners}");
    Ok(())
}

/// What engines in pods do (Docker, BuildKit, buildah), from the node and in the directories of a pod.
fn overlay() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("overlay")?;
    namespace.apply(manifests::claim("data"))?;
    let mut pod = manifests::pod_with_claim("server", PROBE, &["serve", "8080", "here"], "data");
    pod["spec"]["volumes"]
        .as_array_mut()
        .context("a pod has volumes")?
        .push(json!({ "name": "empty", "emptyDir": {} }));
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().context("a pod has mounts")?;
    mounts.push(json!({ "name": "empty", "mountPath": "/empty" }));
    namespace.apply(pod)?;
    namespace.run(["wait", "--for=condition=Ready", "pod/server", "--timeout=60s"])?;
    let uid = namespace.json(["get", "pod", "server"])?["metadata"]["uid"].clone();
    let uid = uid.as_str().context("a pod has a uid")?;
    let empty = format!("{}/{uid}/volumes/kubernetes.io~empty-dir/empty", paths::PODS);
    for directory in [format!("{}/{}", paths::VOLUMES, volume_of(&namespace, "data")?), empty] {
        let script = format!(
            "set -e; cd {directory}; mkdir lower lower/d upper work merged; \
             mount -t overlay -o lowerdir=lower,upperdir=upper,workdir=work o merged; \
             rmdir merged/d; mkdir merged/e; mv merged/e merged/f; umount merged; rm -r lower upper work merged"
        );
        cluster.node(&["sh", "-c", &script]).with_context(|| directory.clone())?;
    }
    Ok(())
}

fn refused() -> Result<()> {
    let cluster = lab()?.shared()?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("refused")?;
    let mut claim = manifests::claim("device");
    claim["spec"]["volumeMode"] = "Block".into();
    namespace.apply(claim)?;
    let mut pod = manifests::pod_with_claim("user", PROBE, &["serve", "8080", "never"], "device");
    let container = &mut pod["spec"]["containers"][0];
    container["volumeMounts"] = json!([]);
    container["volumeDevices"] = json!([{ "name": "data", "devicePath": "/dev/data" }]);
    namespace.apply(pod)?;
    poll::until("the reason is an event", POD_PATIENCE, || {
        let events = namespace.run(["get", "events", "--output", "jsonpath={.items[*].message}"])?;
        ensure!(events.contains("volumeMode Block needs a device"), "{events}");
        Ok(())
    })
}

/// What `docker compose up` does after an update.
fn handed_on() -> Result<()> {
    let (first, second) = (format!("{PREFIX}-handed-1"), format!("{PREFIX}-handed-2"));
    let first = Plain::start(lab()?, &first, &[])?;
    first.wait_ready(BOOT_PATIENCE)?;
    let early = Plain::start(lab()?, &format!("{PREFIX}-handed-0"), &["--volumes-from", first.name()])?;
    poll::until("the one that is too early ended", BOOT_PATIENCE, || {
        let state = engine::inspect(early.name(), ".State.Status")?;
        ensure!(state == "exited", "{state}");
        Ok(())
    })?;
    let log = engine::logs(early.name())?;
    ensure!(log.contains("in use by another container"), "{log}");
    first.stop()?;
    let second = Plain::start(lab()?, &second, &["--volumes-from", first.name()])?;
    second.wait_ready(BOOT_PATIENCE)?;
    let log = engine::logs(second.name())?;
    ensure!(log.contains("holds the state of another container"), "{log}");
    Ok(())
}

fn user_namespace() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let namespace = kubectl.namespace("user-namespace")?;
    namespace.apply(manifests::claim("data"))?;
    let mut pod = manifests::pod_with_claim("writer", PROBE, &["write", "/data/file", "kept"], "data");
    pod["spec"]["hostUsers"] = false.into();
    namespace.apply(pod)?;
    namespace.wait_done("writer")?;
    let file = format!("{}/{}/file", paths::VOLUMES, volume_of(&namespace, "data")?);
    let owner = cluster.node(&["stat", "--format", "%u", &file])?;
    ensure!(owner.trim() == "0", "the mount of the volume is mapped, so the file is {owner}'s");
    Ok(())
}

fn volume_of(namespace: &Namespace<'_>, claim: &str) -> Result<String> {
    let claim = namespace.json(["get", "persistentvolumeclaim", claim])?;
    Ok(claim["spec"]["volumeName"].as_str().with_context(|| format!("no volume: {claim}"))?.to_owned())
}

/// Writes a text into a claim.
pub(crate) fn written(namespace: &Namespace<'_>, claim: &str, text: &str) -> Result<()> {
    namespace.apply(manifests::pod_with_claim("writer", PROBE, &["write", "/data/file", text], claim))?;
    namespace.wait_done("writer")?;
    Ok(())
}

/// Reads the text out of a claim, with a pod of this name.
pub(crate) fn read(namespace: &Namespace<'_>, pod: &str, claim: &str) -> Result<String> {
    namespace.apply(manifests::pod_with_claim(pod, PROBE, &["read", "/data/file"], claim))?;
    namespace.wait_done(pod)
}

fn wait_bound(namespace: &Namespace<'_>, claim: &str) -> Result<()> {
    poll::until("the claim is bound", POD_PATIENCE, || {
        let status = namespace.json(["get", "persistentvolumeclaim", claim])?["status"].clone();
        ensure!(status["phase"] == "Bound", "{status}");
        Ok(())
    })
}
