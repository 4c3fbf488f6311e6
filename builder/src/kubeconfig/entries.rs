//! A cluster's entries, taken out of the kubeconfig that the cluster serves.

use serde_yaml::Value;

use super::error::Error;

/// A cluster's entries as they go into the user's file.
#[derive(Debug, Clone, PartialEq)]
pub struct Entries {
    pub(super) name: String,
    pub(super) cluster: Value,
    pub(super) user: Value,
}

impl Entries {
    /// Takes cluster and user out of a served kubeconfig and names them `name`; `server`, if given, is the address
    /// under which this machine reaches the API server.
    ///
    /// # Errors
    /// [`Error::Served`] when it has not exactly what is expected.
    pub fn from_served(text: &str, name: &str, server: Option<&str>) -> Result<Self, Error> {
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
        Ok(Self { name: name.to_owned(), cluster, user })
    }
}
