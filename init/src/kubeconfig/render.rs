//! The kubeconfig that callers get, and its parts as PEM, made from the one that kubeadm writes. Owns the names in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::names;

use super::address::Server;
use super::document::{Cluster, Context, Kubeconfig, NamedCluster, NamedContext, NamedUser};
use super::error::KubeconfigError;

impl Kubeconfig {
    /// The same credentials under our names, for callers who reach the API server as `server`.
    pub(crate) fn for_callers(&self, server: &Server) -> Result<Self, KubeconfigError> {
        let (cluster, user) = self.current()?;
        let name = names::CLUSTER.to_string();
        let user_name = names::USER.to_string();
        Ok(Self {
            api_version: "v1".to_owned(),
            kind: "Config".to_owned(),
            clusters: vec![NamedCluster {
                name: name.clone(),
                cluster: Cluster {
                    certificate_authority_data: cluster.certificate_authority_data.clone(),
                    server: server.to_string(),
                    // Callers reach us under names that no certificate can foresee (CI aliases, mapped ports).
                    tls_server_name: Some(names::TLS_SERVER.to_owned()),
                },
            }],
            contexts: vec![NamedContext {
                name: name.clone(),
                context: Context { cluster: name.clone(), user: user_name.clone() },
            }],
            current_context: name,
            users: vec![NamedUser { name: user_name, user: user.clone() }],
        })
    }
}

/// How a kubeconfig is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// YAML, as everybody has it.
    #[default]
    Yaml,
    /// JSON, which `kubectl` reads as well.
    Json,
}

impl Format {
    /// Reads `yaml` or `json`.
    pub(crate) fn parse(name: &str) -> Result<Self, KubeconfigError> {
        match name {
            "yaml" => Ok(Self::Yaml),
            "json" => Ok(Self::Json),
            other => Err(KubeconfigError::Format(other.to_owned())),
        }
    }

    /// The media type of the text.
    #[must_use]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Yaml => "application/yaml",
            Self::Json => "application/json",
        }
    }
}

/// Makes the kubeconfig for callers out of kubeadm's.
pub(crate) fn render(admin: &str, server: &Server, format: Format) -> Result<String, KubeconfigError> {
    let config = Kubeconfig::parse(admin)?.for_callers(server)?;
    match format {
        Format::Yaml => serde_yaml::to_string(&config).map_err(KubeconfigError::Yaml),
        Format::Json => {
            let mut text = serde_json::to_string_pretty(&config).map_err(KubeconfigError::Json)?;
            text.push('\n');
            Ok(text)
        }
    }
}

/// What can be taken out of a kubeconfig by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The cluster's CA certificates.
    Ca,
    /// The user's certificate.
    ClientCert,
    /// The key of that certificate.
    ClientKey,
}

/// A part of kubeadm's kubeconfig as PEM.
pub(crate) fn pem(admin: &str, part: Part) -> Result<Vec<u8>, KubeconfigError> {
    let config = Kubeconfig::parse(admin)?;
    let (cluster, user) = config.current()?;
    let (what, data) = match part {
        Part::Ca => ("certificate-authority-data", &cluster.certificate_authority_data),
        Part::ClientCert => ("client-certificate-data", &user.client_certificate_data),
        Part::ClientKey => ("client-key-data", &user.client_key_data),
    };
    match STANDARD.decode(data) {
        Ok(pem) if pem.is_empty() => Err(KubeconfigError::Empty(what)),
        Ok(pem) => Ok(pem),
        Err(source) => Err(KubeconfigError::Base64 { what, source }),
    }
}
