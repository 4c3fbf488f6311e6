//! What can be wrong with a kubeconfig or with the address of the server in it.

use super::address::AddressError;

/// What can be wrong with a kubeconfig or the server's address for it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubeconfigError {
    /// The text is not a kubeconfig.
    #[error("kubeconfig cannot be parsed")]
    Parse(#[source] serde_yaml::Error),
    /// A context, cluster or user that is named is not there.
    #[error("kubeconfig has no {what} `{name}`")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Under which name it was looked up.
        name: String,
    },
    /// The server's address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// What should be PEM in base64 is not.
    #[error("the kubeconfig's {what} is not base64")]
    Base64 {
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: base64::DecodeError,
    },
    /// A part that is there and holds nothing.
    #[error("the kubeconfig's {0} is empty")]
    Empty(&'static str),
    /// The requested format does not exist.
    #[error("unknown format `{0}`; there are `yaml` and `json`")]
    Format(String),
    /// The kubeconfig cannot be written as YAML.
    #[error("kubeconfig cannot be written as yaml")]
    Yaml(#[source] serde_yaml::Error),
    /// The kubeconfig cannot be written as JSON.
    #[error("kubeconfig cannot be written as json")]
    Json(#[source] serde_json::Error),
}
