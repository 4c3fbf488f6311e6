//! Endpoints of the HTTP server on [`crate::ports::HTTP`]: for each its path, its guard and one line about it. Serves
//! nothing.

/// What a caller can ask the server for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint<'a> {
    KubernetesReady,
    Config,
    CaCert,
    ClientCert,
    ClientKey,
    DockerClient,
    DockerReady,
    /// Answers with [`crate::status::Status`].
    Status,
    /// Answers with [`crate::usage::Usage`].
    Usage,
    /// The list of logs.
    Logs,
    /// The log with this name, below the path of the list.
    Log(&'a str),
    KubernetesVersion,
    StaticIp,
    Healthz,
    Index,
}

/// What the cluster's token protects at an endpoint, where there is a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing: every caller gets an answer.
    Open,
    /// Credentials of the cluster; the server also logs who fetched them.
    Credentials,
    /// Output of programs, which can contain secrets.
    Logs,
}

impl<'a> Endpoint<'a> {
    /// Each endpoint that has a path of its own, in the order of the page that lists them.
    pub const ALL: [Self; 14] = [
        Self::KubernetesReady,
        Self::Config,
        Self::CaCert,
        Self::ClientCert,
        Self::ClientKey,
        Self::DockerClient,
        Self::DockerReady,
        Self::Status,
        Self::Usage,
        Self::Logs,
        Self::KubernetesVersion,
        Self::StaticIp,
        Self::Healthz,
        Self::Index,
    ];

    /// The endpoint at the path of a request, which has to match exactly.
    #[must_use]
    pub fn from_path(path: &'a str) -> Option<Self> {
        match path.strip_prefix(Self::Logs.path()) {
            Some(name) if !name.is_empty() => Some(Self::Log(name)),
            _ => Self::ALL.into_iter().find(|endpoint| endpoint.path() == path),
        }
    }

    /// The path without a query; for [`Self::Log`] the part before the name, so that a caller's text is no part of it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        self.describe().0
    }

    #[must_use]
    pub const fn guard(self) -> Guard {
        self.describe().1
    }

    /// What the endpoint answers, in one line for people.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.describe().2
    }

    const fn describe(self) -> (&'static str, Guard, &'static str) {
        match self {
            Self::KubernetesReady => (
                "/kubernetes-ready",
                Guard::Open,
                "200 when the cluster is ready, else 503 with what is missing; ?wait=60s waits for it",
            ),
            Self::Config => (
                "/config",
                Guard::Credentials,
                "the kubeconfig, its server as you called this one (Forwarded, X-Forwarded-Host, Host); \
                 ?server=HOST[:PORT] or ?port=N names another, ?format=json",
            ),
            Self::CaCert => ("/ca.crt", Guard::Open, "the certificate of the cluster's CA, PEM"),
            Self::ClientCert => ("/client.crt", Guard::Credentials, "the kubeconfig's client certificate, PEM"),
            Self::ClientKey => ("/client.key", Guard::Credentials, "the key of that certificate, PEM"),
            Self::DockerClient => (
                "/docker-client.tar",
                Guard::Credentials,
                "ca.pem, cert.pem and key.pem for the Docker port with TLS; unpack into DOCKER_CERT_PATH",
            ),
            Self::DockerReady => {
                ("/docker-ready", Guard::Open, "200 when the Docker API answers; ?wait=60s waits for it")
            }
            Self::Status => ("/status", Guard::Open, "phases, components and readiness as JSON"),
            Self::Usage => (
                "/usage",
                Guard::Open,
                "processor time, memory and bytes written so far, in all and by program, as JSON",
            ),
            Self::Logs | Self::Log(_) => {
                ("/logs/", Guard::Logs, "the components' logs; /logs/NAME?lines=500 is the tail of one")
            }
            Self::KubernetesVersion => ("/kubernetes-version", Guard::Open, "the version of Kubernetes"),
            Self::StaticIp => ("/static-ip", Guard::Open, "the node's fixed address"),
            Self::Healthz => ("/healthz", Guard::Open, "200 while the supervisor runs"),
            Self::Index => ("/", Guard::Open, "this page"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_path_finds_each_endpoint_by_its_path() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Endpoint::from_path(endpoint.path()), Some(endpoint));
        }
        assert_eq!(Endpoint::from_path("/logs/kubelet"), Some(Endpoint::Log("kubelet")));
        assert_eq!(Endpoint::from_path("/logs//"), Some(Endpoint::Log("/")));
        for path in ["", "//", "/logs", "/Healthz", "/healthz/", "/config?port=1", "*"] {
            assert_eq!(Endpoint::from_path(path), None, "{path}");
        }
    }

    #[test]
    fn logs_have_one_path_and_one_guard() {
        let log = Endpoint::Log("kubelet");
        assert_eq!((log.path(), log.guard()), (Endpoint::Logs.path(), Endpoint::Logs.guard()));
        assert_eq!(log.guard(), Guard::Logs);
    }
}
