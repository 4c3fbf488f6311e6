//! Volumes of the default StorageClass.

use anyhow::{Result, ensure};
use kubake_contract::names;
use kubake_e2e::kubectl::{Namespace, POD_PATIENCE};
use kubake_e2e::lab::lab;
use kubake_e2e::{manifests, poll};

use crate::{Case, PROBE, build_probe};

pub(crate) const CASES: &[Case] = &[("what one pod writes to a claim of the default class another one reads", claim)];

fn claim() -> Result<()> {
    let cluster = lab()?.shared()?;
    build_probe(&cluster)?;
    let kubectl = cluster.kubectl()?;
    let classes = kubectl.json(["get", "storageclasses"])?;
    let is_default = &classes["items"][0]["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"];
    ensure!(classes["items"][0]["metadata"]["name"] == names::STORAGE_CLASS && is_default == "true", "{classes}");

    let namespace = kubectl.namespace("storage")?;
    namespace.apply(manifests::claim("data"))?;
    written(&namespace, "data", "kept")?;
    wait_bound(&namespace, "data")?;
    let read = read(&namespace, "reader", "data")?;
    ensure!(read == "kept", "the other pod reads {read:?}");

    // The disk must not fill with volumes of deleted claims.
    let volume = namespace.json(["get", "persistentvolumeclaim", "data"])?["spec"]["volumeName"].clone();
    let volume = volume.as_str().unwrap_or_default().to_owned();
    namespace.run(["delete", "pods", "--all", "--wait"])?;
    namespace.run(["delete", "persistentvolumeclaim", "data", "--wait"])?;
    poll::until("the volume is gone with its claim", POD_PATIENCE, || {
        let left = kubectl.run(["get", "persistentvolume", &volume, "--ignore-not-found"])?;
        ensure!(left.is_empty(), "{left}");
        Ok(())
    })
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
