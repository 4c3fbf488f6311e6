//! The fields of a kubeconfig as kubeadm writes them, and its current context. Never does I/O.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::KubeconfigError;

/// A kubeconfig with one user, as kubeadm writes them: certificates embedded, nothing by path. Fields that
/// kubeadm does not use are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kubeconfig {
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    pub kind: String,
    /// The clusters by name.
    pub clusters: Vec<NamedCluster>,
    /// The contexts by name.
    pub contexts: Vec<NamedContext>,
    /// The context in use.
    #[serde(rename = "current-context")]
    pub current_context: String,
    /// The users by name.
    pub users: Vec<NamedUser>,
}

/// A cluster and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedCluster {
    pub name: String,
    pub cluster: Cluster,
}

/// How to reach a cluster and what to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Cluster {
    /// CA certificates, PEM in base64.
    pub certificate_authority_data: String,
    /// URL of the API server.
    pub server: String,
    /// The name to look for in the server's certificate, where it is not the URL's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
}

/// A context and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedContext {
    pub name: String,
    pub context: Context,
}

/// Which user at which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    /// Name of the cluster.
    pub cluster: String,
    /// Name of the user.
    pub user: String,
}

/// A user and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NamedUser {
    pub name: String,
    pub user: User,
}

/// A user's certificate and key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct User {
    /// The certificate, PEM in base64.
    pub client_certificate_data: String,
    /// Its key, PEM in base64.
    pub client_key_data: String,
}

impl fmt::Debug for User {
    // A key in a log line is a key lost.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("User").finish_non_exhaustive()
    }
}

impl Kubeconfig {
    /// Reads a kubeconfig.
    pub(crate) fn parse(yaml: &str) -> Result<Self, KubeconfigError> {
        serde_yaml::from_str(yaml).map_err(KubeconfigError::Parse)
    }

    /// The cluster and the user of the current context.
    pub(crate) fn current(&self) -> Result<(&Cluster, &User), KubeconfigError> {
        let missing = |what, name: &str| KubeconfigError::Missing { what, name: name.to_owned() };
        let context = self
            .contexts
            .iter()
            .find(|context| context.name == self.current_context)
            .map(|named| &named.context)
            .ok_or_else(|| missing("context", &self.current_context))?;
        let cluster = self
            .clusters
            .iter()
            .find(|cluster| cluster.name == context.cluster)
            .ok_or_else(|| missing("cluster", &context.cluster))?;
        let user =
            self.users.iter().find(|user| user.name == context.user).ok_or_else(|| missing("user", &context.user))?;
        Ok((&cluster.cluster, &user.user))
    }
}
