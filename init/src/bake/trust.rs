//! Takes the bake's CAs out of etcd before the freeze. Objects that embed a CA get slots in its place
//! ([`crate::identity::slots`]); objects signed with keys that no container will have are removed. Owns which objects these
//! are; `freeze` runs etcd's client.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::names::NodeName;
use kubake_contract::paths;
use serde_json::Value;

use super::freeze::Etcd;
use crate::api::Client;
use crate::identity::slots::{self, Slot};
use crate::phases::BoxError;

/// Prefix of the API server's keys (the default of `--etcd-prefix`).
const REGISTRY: &str = "/registry/";
/// Returns prefixes of the keys to remove: bootstrap tokens (kubeadm makes one for nodes that join), certificates that the
/// old CA signed, and the node's lease, so that a lease always stems from the present boot.
fn removed(node: &NodeName) -> [String; 3] {
    [
        "secrets/kube-system/bootstrap-token-".to_owned(),
        "certificatesigningrequests/".to_owned(),
        format!("leases/kube-node-lease/{node}"),
    ]
    .map(|key| REGISTRY.to_owned() + &key)
}

/// Keys and JSON of the objects to freeze.
#[derive(Debug)]
pub(super) struct Trust {
    objects: Vec<(String, String)>,
}

/// Reads the objects that embed a CA, while kubelet is stopped and the API server still runs.
pub(super) async fn collect(client: &Client) -> Result<Trust, BoxError> {
    let list = async |path: &str| -> Result<Vec<Value>, BoxError> {
        let mut list: Value = client.get(path).await?;
        Ok(serde_json::from_value(list["items"].take())?)
    };
    let mut objects = Vec::new();
    for object in list("/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt").await? {
        objects.push(config_map(object, |data| data["ca.crt"] = Slot::ClusterCa.placeholder()));
    }
    let object = client.get("/api/v1/namespaces/kube-public/configmaps/cluster-info").await?;
    // Without the signatures of tokens that no longer exist.
    objects
        .push(config_map(object, |data| *data = serde_json::json!({ "kubeconfig": Slot::ClusterInfo.placeholder() })));
    let object = client.get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication").await?;
    objects.push(config_map(object, |data| {
        data["client-ca-file"] = Slot::ClusterCa.placeholder();
        data["requestheader-client-ca-file"] = Slot::FrontProxyCa.placeholder();
    }));
    for object in list("/api/v1/secrets?fieldSelector=type%3Dkubernetes.io%2Fservice-account-token").await? {
        objects.push(frozen(object, "Secret", "secrets", |data| {
            // The controller manager's token controller creates only what is missing.
            if let Some(data) = data.as_object_mut() {
                data.remove("token");
                data.remove("ca.crt");
            }
        }));
    }
    Ok(Trust { objects })
}

impl Trust {
    /// Writes the objects to etcd, after the API server has stopped.
    pub(super) async fn freeze(self, etcd: &Etcd, node: &NodeName) -> Result<(), BoxError> {
        for (key, object) in &self.objects {
            etcd.run(&["put", key, object]).await?;
        }
        for prefix in removed(node) {
            etcd.run(&["del", "--prefix", &prefix]).await?;
        }
        Ok(())
    }
}

fn config_map(object: Value, change: impl FnOnce(&mut Value)) -> (String, String) {
    frozen(object, "ConfigMap", "configmaps", change)
}

/// Returns an object's key and JSON. Items of a list carry neither version nor kind; `managedFields` serve no purpose here.
fn frozen(mut object: Value, kind: &str, resource: &str, change: impl FnOnce(&mut Value)) -> (String, String) {
    object["apiVersion"] = "v1".into();
    object["kind"] = kind.into();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
        // etcd's own revision replaces it.
        metadata.remove("resourceVersion");
    }
    change(&mut object["data"]);
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let key = format!("{REGISTRY}{resource}/{}/{}", text("namespace"), text("name"));
    (key, slots::freeze(&object))
}

/// Warns of every object in etcd's database that still embeds the bake's CA, most likely because of a hook. As a webhook's
/// `caBundle`, beside a certificate from the bake, that works; to verify the API server, it does not.
pub(super) fn warn_of_leftovers(database: &Path) -> Result<(), BoxError> {
    let path = Path::new(paths::PKI).join("ca.crt");
    let authority =
        std::fs::read_to_string(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let database = std::fs::read(database).map_err(|error| format!("cannot read {}: {error}", database.display()))?;
    for key in leftovers(&database, &authority) {
        tracing::warn!(
            "{key} embeds the CA of this bake, which no container has: it verifies only certificates that this bake signed, \
             and not those that a container's own CA signs, such as the API server's"
        );
    }
    Ok(())
}

/// Returns the keys of the objects that hold a certificate, as text or in base64, once each.
fn leftovers(database: &[u8], authority: &str) -> Vec<String> {
    let body: Vec<&str> = authority.lines().filter(|line| line.len() == 64).collect();
    let mut wanted: Vec<Vec<u8>> = body.first().map(|line| line.as_bytes().to_vec()).into_iter().collect();
    // In base64 the same text has three forms, by its offset in a group of three bytes; both ends depend on neighbours.
    for skipped in 0..3 {
        let text = STANDARD.encode(authority.as_bytes().get(skipped..).unwrap_or_default());
        wanted.extend(text.as_bytes().get(8..72).map(<[u8]>::to_vec));
    }
    let mut keys = Vec::new();
    for wanted in wanted {
        for at in database.windows(wanted.len()).enumerate().filter(|(_, part)| *part == wanted).map(|(at, _)| at) {
            let before = &database[..at];
            let begin = before.windows(REGISTRY.len()).rposition(|part| part == REGISTRY.as_bytes()).unwrap_or(at);
            let name = before[begin..].iter().take_while(|byte| byte.is_ascii_graphic()).map(|&byte| char::from(byte));
            keys.push(name.collect());
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_frozen_under_its_key() {
        let object = json!({
            "metadata": { "name": "kube-root-ca.crt", "namespace": "default", "uid": "u", "resourceVersion": "7" },
            "data": { "ca.crt": "-----BEGIN" },
        });
        let (key, text) = config_map(object, |data| data["ca.crt"] = Slot::ClusterCa.placeholder());
        assert_eq!(key, "/registry/configmaps/default/kube-root-ca.crt");
        let object: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            object,
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": "kube-root-ca.crt", "namespace": "default", "uid": "u" },
                "data": { "ca.crt": Slot::ClusterCa.placeholder() },
            })
        );
        assert!(text.len() > 8192);
    }

    #[test]
    fn objects_that_embed_the_old_ca_are_named() {
        let line =
            |seed: usize| -> String { (0..64).map(|at| char::from(b'a' + ((at * seed + seed) % 26) as u8)).collect() };
        let authority = format!("-----BEGIN CERTIFICATE-----\n{}\n{}\nshort\n", line(3), line(5));
        for indent in ["", "x", "xy"] {
            let encoded = STANDARD.encode(format!("{indent}{authority}"));
            let database =
                format!("\0\x0a/registry/configmaps/a/b\x12{authority}\0/registry/secrets/c/d\x10\x01{encoded}");
            assert_eq!(
                leftovers(database.as_bytes(), &authority),
                ["/registry/configmaps/a/b", "/registry/secrets/c/d"]
            );
        }
        assert!(leftovers(b"/registry/secrets/c/d nothing", &authority).is_empty());
    }
}
