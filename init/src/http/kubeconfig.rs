//! Kubeconfigs: reading the one that kubeadm writes, and making from it the one that callers get. Owns the names in it; the
//! server's address is `address`'s. Never does I/O.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::address::{AddressError, Server};
use crate::contract::names;

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
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: base64::DecodeError,
    },
    /// A part that is there and holds nothing.
    #[error("the kubeconfig's {0} is empty")]
    Empty(&'static str),
    /// A format nobody knows.
    #[error("unknown format `{0}`; there are `yaml` and `json`")]
    Format(String),
    /// The kubeconfig cannot be written as YAML.
    #[error("kubeconfig cannot be written as yaml")]
    Yaml(#[source] serde_yaml::Error),
    /// The kubeconfig cannot be written as JSON.
    #[error("kubeconfig cannot be written as json")]
    Json(#[source] serde_json::Error),
}

/// A kubeconfig with one user, as kubeadm writes them: certificates embedded, nothing by path. Fields that
/// kubeadm does not use are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kubeconfig {
    /// Always `v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// Always `Config`.
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
    /// The name.
    pub name: String,
    /// The cluster.
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
    /// The name.
    pub name: String,
    /// The context.
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
    /// The name.
    pub name: String,
    /// The user.
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

    /// The same credentials under our names, for callers who reach the API server as `server`.
    pub(crate) fn for_callers(&self, server: &Server) -> Result<Self, KubeconfigError> {
        let (cluster, user) = self.current()?;
        let name = names::CLUSTER.to_owned();
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
                context: Context { cluster: name.clone(), user: name.clone() },
            }],
            current_context: name.clone(),
            users: vec![NamedUser { name, user: user.clone() }],
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::address::split_authority;
    use super::*;

    const ADMIN: &str = "\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: Q0E=
    server: https://172.30.99.1:8443
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: kubernetes-admin
  name: kubernetes-admin@kubernetes
current-context: kubernetes-admin@kubernetes
kind: Config
preferences: {}
users:
- name: kubernetes-admin
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
";

    fn server(text: &str) -> Server {
        Server::parse(text, 8443).unwrap()
    }

    #[test]
    fn every_name_is_ours_and_the_credentials_are_kubeadms() {
        let text = render(ADMIN, &server("docker:32768"), Format::Yaml).unwrap();
        assert_eq!(
            text,
            "\
apiVersion: v1
kind: Config
clusters:
- name: kind
  cluster:
    certificate-authority-data: Q0E=
    server: https://docker:32768
    tls-server-name: kubernetes
contexts:
- name: kind
  context:
    cluster: kind
    user: kind
current-context: kind
users:
- name: kind
  user:
    client-certificate-data: Q0VSVA==
    client-key-data: S0VZ
"
        );
        let json = render(ADMIN, &server("docker:32768"), Format::Json).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["clusters"][0]["cluster"]["server"], "https://docker:32768");
    }

    #[test]
    fn a_half_written_file_is_refused() {
        assert!(matches!(render("", &server("a"), Format::Yaml), Err(KubeconfigError::Parse(_))));
        let cut = ADMIN.split_once("users:").unwrap().0;
        assert!(matches!(render(cut, &server("a"), Format::Yaml), Err(KubeconfigError::Parse(_))));
        let other = ADMIN.replace("user: kubernetes-admin", "user: nobody");
        assert!(matches!(
            render(&other, &server("a"), Format::Yaml),
            Err(KubeconfigError::Missing { what: "user", .. })
        ));
    }

    #[test]
    fn keys_never_show_in_debug_output() {
        assert!(!format!("{:?}", Kubeconfig::parse(ADMIN).unwrap()).contains("S0VZ"));
    }

    #[test]
    fn parts_are_taken_out_as_they_are() {
        for (part, expected) in [(Part::Ca, "CA"), (Part::ClientCert, "CERT"), (Part::ClientKey, "KEY")] {
            assert_eq!(pem(ADMIN, part).unwrap(), expected.as_bytes());
        }
        let error = pem(&ADMIN.replace("S0VZ", "S0V"), Part::ClientKey).unwrap_err();
        assert_eq!(error.to_string(), "the kubeconfig's client-key-data is not base64");
        let error = pem(&ADMIN.replace("S0VZ", "''"), Part::ClientKey).unwrap_err();
        assert_eq!(error.to_string(), "the kubeconfig's client-key-data is empty");
    }

    /// kubeadm's kubeconfig, broken in a few places as a disk or an editor would.
    fn mutated() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "\\PC{0,12}",
            "[-:\n {}\\[\\]&*!|>'\"#%@,]{1,6}",
            Just("server: https://evil.example:1\n    ".to_owned()),
            Just("current-context: other\n".to_owned()),
            Just("- *a\n".to_owned()),
        ];
        let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..40_usize, piece), 0..4);
        edits.prop_map(|edits| {
            let mut text: Vec<char> = ADMIN.chars().collect();
            for (at, removed, piece) in edits {
                let at = at.index(text.len() + 1);
                let end = (at + removed).min(text.len());
                text.splice(at..end, piece.chars());
            }
            text.into_iter().collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

        #[test]
        fn a_broken_kubeconfig_never_leads_elsewhere(admin in mutated(), host in "[a-z]{1,8}(:[1-9][0-9]{0,3})?") {
            let wanted = server(&host);
            for format in [Format::Yaml, Format::Json] {
                let Ok(rendered) = render(&admin, &wanted, format) else { continue };
                let read = Kubeconfig::parse(&rendered).unwrap();
                let (cluster, user) = read.current().unwrap();
                prop_assert_eq!(&cluster.server, &wanted.to_string());
                prop_assert_eq!(cluster.tls_server_name.as_deref(), Some(names::TLS_SERVER));
                prop_assert_eq!((read.clusters.len(), read.contexts.len(), read.users.len()), (1, 1, 1));
                // What is handed out is what is there, neither more nor less.
                let source = Kubeconfig::parse(&admin).unwrap();
                prop_assert_eq!(source.current().unwrap().1, user);
            }
            for part in [Part::Ca, Part::ClientCert, Part::ClientKey] {
                let _ = pem(&admin, part);
            }
        }
    }

    proptest! {
        #[test]
        fn no_host_breaks_the_yaml_or_adds_a_key(text in "\\PC*|[-a-zA-Z0-9._:\\[\\]\n\r\t #'\"{}&*!|>%@,]{0,40}") {
            if let Some((host, port)) = split_authority(&text) {
                let wanted = Server { host, port: port.unwrap_or(8443) };
                for format in [Format::Yaml, Format::Json] {
                    let rendered = render(ADMIN, &wanted, format).unwrap();
                    let expected = Kubeconfig::parse(ADMIN).unwrap().for_callers(&wanted).unwrap();
                    prop_assert_eq!(Kubeconfig::parse(&rendered).unwrap(), expected);
                    if format == Format::Yaml {
                        prop_assert_eq!(rendered.lines().count(), 19);
                    }
                }
                // What is printed is read back as the same thing, so nothing was smuggled through.
                prop_assert_eq!(Server::parse(&wanted.to_string(), 1).unwrap(), wanted);
            }
        }
    }
}
