//! The entries of a cluster, extracted from the kubeconfig that the cluster serves. Pure.

use serde_yaml::Value;

use super::error::Error;

/// Cluster and user of a cluster, and the name that both get in the user's file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entries {
    pub(super) name: String,
    pub(super) cluster: Value,
    pub(super) user: Value,
    /// The endpoint of the engine that runs the cluster; empty for the engine's default.
    pub(super) engine: String,
}

impl Entries {
    /// Extracts cluster and user from a served kubeconfig and names them `name`. `server`, if given, replaces the address
    /// of the API server: it is the one that this machine reaches. `engine` is the endpoint of the cluster's engine.
    ///
    /// # Errors
    /// [`Error::Served`] if the document has no cluster or no user.
    pub(crate) fn from_served(text: &str, name: &str, server: Option<&str>, engine: &str) -> Result<Self, Error> {
        let tree: Value = serde_yaml::from_str(text).map_err(|error| Error::Served(error.to_string()))?;
        let take = |list: &str, inner: &str| {
            tree.get(list)
                .and_then(Value::as_sequence)
                .and_then(|entries| entries.first())
                .and_then(|entry| entry.get(inner))
                .filter(|value| value.is_mapping())
                .cloned()
                .ok_or_else(|| Error::Served(format!("it has no {inner}")))
        };
        let mut cluster = take("clusters", "cluster")?;
        let user = take("users", "user")?;
        if let (Some(server), Some(mapping)) = (server, cluster.as_mapping_mut()) {
            mapping.insert("server".into(), server.into());
        }
        Ok(Self { name: name.to_owned(), cluster, user, engine: engine.to_owned() })
    }
}
