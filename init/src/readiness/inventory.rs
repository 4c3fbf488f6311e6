//! What the baked cluster runs, by name: written at the bake and read at every boot, so that readiness depends on the
//! image's objects and not on those of its users. Owns the file's form; decides nothing.

use std::collections::BTreeSet;
use std::path::Path;

use kubake_contract::names::NodeName;
use serde::{Deserialize, Serialize};

use super::objects::{Metadata, Pod};
use crate::pods::control_plane::{NAMESPACE, StaticPod};

/// The file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Inventory {
    /// Deployments, DaemonSets and StatefulSets.
    pub(super) workloads: BTreeSet<Entry>,
    /// Static pods, as the API shows them.
    pub(super) static_pods: BTreeSet<Entry>,
    /// Pods that no controller replaces.
    pub(super) bare_pods: BTreeSet<Entry>,
    /// Services whose endpoints the controller manager maintains.
    pub(super) services: BTreeSet<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) namespace: String,
    pub(super) name: String,
}

impl Entry {
    pub(super) fn new(kind: &str, metadata: &Metadata) -> Self {
        Self { kind: kind.to_owned(), namespace: metadata.namespace.clone(), name: metadata.name.clone() }
    }
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InventoryError {
    /// The file cannot be read or written.
    #[error("inventory {path} cannot be used; bake the image again")]
    Io {
        path: String,
        #[source]
        source: std::io::Error,
    },
    /// The file does not have the form of the bake's.
    #[error("inventory {path} is invalid; bake the image again")]
    Yaml {
        path: String,
        #[source]
        source: serde_yaml::Error,
    },
}

impl Inventory {
    /// Adds a static pod or a pod without a controller; others are replaced by their controllers.
    pub(super) fn add_pod(&mut self, pod: &Pod) {
        if pod.is_over() {
            return;
        }
        let entry = Entry::new("Pod", &pod.metadata);
        if pod.is_mirror() {
            self.static_pods.insert(entry);
        } else if !pod.has_controller() {
            self.bare_pods.insert(entry);
        }
    }

    /// The entries of a role's static pods on a node.
    pub(super) fn of_static_pods(pods: &[StaticPod], node: &NodeName) -> BTreeSet<Entry> {
        pods.iter()
            .map(|pod| Entry {
                kind: "Pod".to_owned(),
                namespace: NAMESPACE.to_owned(),
                name: pod.pod_name(node.as_str()),
            })
            .collect()
    }

    /// Reads the file of the bake.
    ///
    /// # Errors
    /// When the file is missing or invalid.
    pub(crate) fn read(path: &Path) -> Result<Self, InventoryError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| InventoryError::Io { path: path.display().to_string(), source })?;
        serde_yaml::from_str(&text).map_err(|source| InventoryError::Yaml { path: path.display().to_string(), source })
    }

    /// Writes the file for later boots.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn write(&self, path: &Path) -> Result<(), InventoryError> {
        let shown = || path.display().to_string();
        let text = serde_yaml::to_string(self).map_err(|source| InventoryError::Yaml { path: shown(), source })?;
        std::fs::write(path, text).map_err(|source| InventoryError::Io { path: shown(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, owner: Option<&str>, is_mirror: bool, phase: &str) -> Pod {
        let annotations = if is_mirror { json!({ "kubernetes.io/config.mirror": "x" }) } else { json!({}) };
        let owners = owner.map_or(json!([]), |kind| json!([{ "kind": kind, "controller": true }]));
        serde_json::from_value(json!({
            "metadata": { "name": name, "namespace": "n", "annotations": annotations, "ownerReferences": owners },
            "status": { "phase": phase },
        }))
        .unwrap()
    }

    #[test]
    fn pods_are_sorted_by_their_owners() {
        let mut inventory = Inventory::default();
        for pod in [
            pod("etcd-kind", Some("Node"), true, "Running"),
            pod("bare", None, false, "Running"),
            pod("of-a-deployment", Some("ReplicaSet"), false, "Running"),
            pod("done", None, false, "Succeeded"),
        ] {
            inventory.add_pod(&pod);
        }
        let names = |entries: &BTreeSet<Entry>| entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&inventory.static_pods), ["etcd-kind"]);
        assert_eq!(names(&inventory.bare_pods), ["bare"]);
    }

    #[test]
    fn the_file_is_read_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("inventory.yaml");
        let missing = Inventory::read(&path).unwrap_err().to_string();
        assert!(missing.contains("inventory.yaml") && missing.contains("bake"), "{missing}");
        let mut inventory = Inventory::default();
        inventory.add_pod(&pod("bare", None, false, "Running"));
        inventory.write(&path).unwrap();
        assert_eq!(Inventory::read(&path).unwrap(), inventory);
        std::fs::write(&path, "nonsense: 1\n").unwrap();
        assert!(Inventory::read(&path).is_err());
    }
}
