//! kubeadm's part of a bake: its files, its run in two halves around kubelet's start, and what it does not install.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kubake_contract::paths;

use super::bake_run::Bake;
use crate::boot::api_client;
use crate::command::Run;
use crate::phases::BoxError;
use crate::{configuration, identity, kubeadm};

const KUBEADM_CONFIG: &str = "/etc/kubernetes/kubeadm.yaml";
/// kubeadm's bound on the control plane; a machine without hardware virtualisation takes minutes.
const KUBEADM_TIMEOUT: Duration = Duration::from_secs(1200);

/// kubeadm's phases up to the point where kubelet must run.
const BEFORE_KUBELET: &str = "preflight,certs,kubeconfig,etcd,control-plane,kubelet-start";
/// kubeadm's phases from there on.
const AFTER_KUBELET: &str =
    "wait-control-plane,upload-config,upload-certs,mark-control-plane,bootstrap-token,kubelet-finalize,addon";

impl Bake {
    /// Writes kubeadm's configuration and runs its phases up to kubelet's start.
    pub(super) async fn kubeadm_files(&mut self) -> Result<(), BoxError> {
        let (settings, node) = (&self.runtime.settings, &self.runtime.node);
        // kubeadm keeps existing certificates if they are what it would have made. So each bake proves that the
        // certificates that a container makes at its first boot are what kubeadm requires.
        identity::make_for_bake_at(Path::new("/"), settings, &self.runtime.node_facts())?;
        configuration::write(Path::new(KUBEADM_CONFIG), &kubeadm::configuration::documents(settings, node)?)?;
        for (name, patch) in kubeadm::patches::patches() {
            configuration::write(&Path::new(kubeadm::patches::DIRECTORY).join(name), &patch.to_string())?;
        }
        // `kubake doctor` judges the build host; kubeadm's own checks require systemd and modprobe.
        init(&format!("preflight,{AFTER_KUBELET},show-join-command")).await
    }

    /// Runs kubeadm's phases from kubelet's start on.
    pub(super) async fn kubeadm_init(&mut self) -> Result<(), BoxError> {
        // No other node joins: one node is the whole cluster.
        init(&format!("{BEFORE_KUBELET},show-join-command")).await
    }

    /// Installs what kubeadm does not: a default StorageClass, a CoreDNS for one node, and that node for load balancers.
    pub(super) async fn install_addons(&mut self) -> Result<(), BoxError> {
        let client = api_client(&self.runtime)?;
        client.create("/apis/storage.k8s.io/v1/storageclasses", &kubeadm::objects::storage_class()).await?;
        let deployment = kubeadm::objects::coredns_deployment(&self.runtime.node).to_string();
        client.apply("/apis/apps/v1/namespaces/kube-system/deployments/coredns", "kubake", &deployment).await?;
        // CoreDNS lingers for five seconds so that other replicas take over; a single replica only delays every stop.
        let path = "/api/v1/namespaces/kube-system/configmaps/coredns";
        let config: serde_json::Value = client.get(path).await?;
        if let Some(corefile) = config["data"]["Corefile"].as_str() {
            let corefile = corefile.replace("lameduck 5s", "lameduck 0s");
            client.merge_patch(path, &serde_json::json!({ "data": { "Corefile": corefile } })).await?;
        }
        // kubeadm keeps load balancers such as MetalLB away from control planes, which would leave them no node at all.
        let path = format!("/api/v1/nodes/{}", self.runtime.node.name);
        let labels = serde_json::json!({ "node.kubernetes.io/exclude-from-external-load-balancers": null });
        client.merge_patch(&path, &serde_json::json!({ "metadata": { "labels": labels } })).await?;
        Ok(())
    }
}

async fn init(skipped: &str) -> Result<(), BoxError> {
    let log = PathBuf::from(paths::LOGS).join("kubeadm.log");
    let mut written = String::new();
    let result = Run::new("/usr/local/bin/kubeadm")
        .args(["init", "--config", KUBEADM_CONFIG, "--skip-phases", skipped])
        .timeout(KUBEADM_TIMEOUT)
        .stream(|line| {
            written.push_str(line);
            written.push('\n');
        })
        .await;
    // The log helps to find a cause later; a failure to write it must not end the bake.
    let _ = configuration::write(&log, &written);
    Ok(result?)
}
