//! What has to be written for registries to be used by pods and by Docker. Pure.
//!
//! * containerd reads `certs.d/HOST/hosts.toml` at each pull (`docs/hosts.md`).
//! * kubelet reads logins for all pods from Docker's format beside its own files (`pkg/credentialprovider`:
//!   `DefaultDockerConfigJSONPaths`), and hands them on with each pull. containerd offers them to whichever host of the
//!   registry asks: to its mirrors, too.
//! * Docker's command line reads logins from its user's own file; dockerd reads CAs from `certs.d/HOST/*.crt`, and from
//!   its configuration mirrors, of Docker's own registry only and not all of them ([`Mirror::for_docker`]), and registries
//!   whose TLS is not to be trusted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kubake_contract::registries::{DOCKER_HUB, Mirror, Registry};

use crate::services::containerd::REGISTRIES as CONTAINERD;
use crate::services::dockerd::Registries;

/// Where dockerd looks for CAs.
const DOCKER: &str = "/etc/docker/certs.d";
/// What a CA's file is called, in either place.
const AUTHORITIES: &str = "ca.crt";
/// The name under which Docker's command line keeps its login at Docker's own registry (`registry.IndexServer`); kubelet
/// understands it as well.
const HUB_LOGIN: &str = "https://index.docker.io/v1/";

/// What is to be there.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Files that are ours, by their absolute path in the container.
    pub files: BTreeMap<String, String>,
    /// Logins, in the form of Docker's `auths`, by the registry's name there.
    pub logins: BTreeMap<String, String>,
}

impl fmt::Debug for Plan {
    // In the logins there are passwords.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let logins: Vec<&String> = self.logins.keys().collect();
        formatter.debug_struct("Plan").field("files", &self.files).field("logins", &logins).finish()
    }
}

impl Plan {
    /// What these registries need.
    #[must_use]
    pub(crate) fn new(registries: &[Registry]) -> Self {
        let mut plan = Self::default();
        for registry in registries {
            let host = &registry.host;
            if let Some(login) = &registry.login {
                let name = if host == DOCKER_HUB { HUB_LOGIN } else { host };
                plan.logins.insert(name.to_owned(), STANDARD.encode(format!("{}:{}", login.user, login.password)));
            }
            let authorities = registry.authorities.concat();
            let needs_hosts = registry.is_insecure || registry.is_plain_http || !registry.mirrors.is_empty();
            if needs_hosts || !authorities.is_empty() {
                plan.files.insert(format!("{CONTAINERD}/{host}/hosts.toml"), hosts_toml(registry));
            }
            if !authorities.is_empty() {
                plan.files.insert(format!("{CONTAINERD}/{host}/{AUTHORITIES}"), authorities.clone());
                for host in docker_hosts(registry) {
                    // Two registries may have one mirror.
                    plan.files.entry(format!("{DOCKER}/{host}/{AUTHORITIES}")).or_default().push_str(&authorities);
                }
            }
        }
        plan
    }
}

/// What dockerd's configuration has to say.
#[must_use]
pub(crate) fn for_dockerd(registries: &[Registry]) -> Registries {
    let mut mirrors = Vec::new();
    let mut insecure = BTreeSet::new();
    for registry in registries {
        if registry.host == DOCKER_HUB {
            mirrors = registry.mirrors.iter().filter_map(Mirror::for_docker).collect();
            // dockerd takes a mirror's host and path only, and whether it speaks TLS from the list of those that need not.
            let plain = docker_mirrors(registry).filter(|mirror| !mirror.has_tls);
            insecure.extend(plain.map(|mirror| mirror.host.clone()));
        } else if registry.is_plain_http {
            insecure.insert(registry.host.clone());
        }
        if registry.is_insecure {
            // Docker's own registry is always verified (`registry/config.go`).
            insecure.extend(docker_hosts(registry).into_iter().filter(|host| *host != DOCKER_HUB).map(str::to_owned));
        }
    }
    Registries { mirrors, insecure: insecure.into_iter().collect() }
}

/// Mirrors of Docker's own registry that dockerd cannot use; pods use them.
pub(crate) fn unknown_to_docker(registries: &[Registry]) -> impl Iterator<Item = &Mirror> {
    let hub = registries.iter().filter(|registry| registry.host == DOCKER_HUB);
    hub.flat_map(|registry| &registry.mirrors).filter(|mirror| mirror.for_docker().is_none())
}

/// The mirrors of a registry that dockerd uses.
fn docker_mirrors(registry: &Registry) -> impl Iterator<Item = &Mirror> {
    let is_hub = registry.host == DOCKER_HUB;
    registry.mirrors.iter().filter(move |mirror| is_hub && mirror.for_docker().is_some())
}

/// The hosts that dockerd asks for a registry's images. One host may be several mirrors.
fn docker_hosts(registry: &Registry) -> BTreeSet<&str> {
    let mirrors = docker_mirrors(registry).map(|mirror| mirror.host.as_str());
    std::iter::once(registry.host.as_str()).chain(mirrors).collect()
}

/// How containerd reaches a registry. Hosts and URLs have nothing in them that TOML would want quoted (`super::is_host`,
/// `Mirror::parse`).
fn hosts_toml(registry: &Registry) -> String {
    let server = if registry.host == DOCKER_HUB { "registry-1.docker.io" } else { &registry.host };
    let scheme = if registry.is_plain_http { "http" } else { "https" };
    let mut trust = String::new();
    if registry.is_insecure {
        trust.push_str("skip_verify = true\n");
    }
    if !registry.authorities.is_empty() {
        // Beside this file.
        trust.push_str(&format!("ca = \"{AUTHORITIES}\"\n"));
    }
    let mut text = format!("# Written by kubake-init at each boot.\nserver = \"{scheme}://{server}\"\n");
    // With anything about TLS containerd would try that first (`core/remotes/docker/config/hosts.go`).
    if !registry.is_plain_http {
        text.push_str(&trust);
    }
    for mirror in &registry.mirrors {
        text.push_str(&format!("\n[host.\"{mirror}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"));
        if mirror.has_path() {
            text.push_str("override_path = true\n");
        }
        if mirror.has_tls {
            text.push_str(&trust);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use kubake_contract::registries::Login;

    use super::*;

    fn registry(host: &str) -> Registry {
        Registry { host: host.to_owned(), ..Registry::default() }
    }

    fn mirrors(urls: &[&str]) -> Vec<Mirror> {
        urls.iter().map(|url| Mirror::parse(url).unwrap()).collect()
    }

    #[test]
    fn a_login_alone_needs_no_files() {
        let login = |user: &str| Some(Login { user: user.to_owned(), password: "pass".to_owned() });
        let plan = Plan::new(&[
            Registry { login: login("me"), ..registry(DOCKER_HUB) },
            Registry { login: login("ci"), ..registry("registry.example:5000") },
        ]);
        assert_eq!(plan.files, BTreeMap::new());
        let expected = [("https://index.docker.io/v1/", "bWU6cGFzcw=="), ("registry.example:5000", "Y2k6cGFzcw==")];
        assert_eq!(plan.logins, expected.map(|(name, auth)| (name.to_owned(), auth.to_owned())).into());
        assert!(!format!("{plan:?}").contains("bWU6"));
    }

    #[test]
    fn mirrors_and_their_ca_are_told_to_containerd_and_those_of_docker_s_registry_to_docker() {
        let hub = Registry {
            mirrors: mirrors(&["https://mirror.example", "http://plain:5000"]),
            authorities: vec!["PEM\n".to_owned()],
            ..registry(DOCKER_HUB)
        };
        let plan = Plan::new(std::slice::from_ref(&hub));
        assert_eq!(
            plan.files["/etc/containerd/certs.d/docker.io/hosts.toml"],
            "# Written by kubake-init at each boot.
server = \"https://registry-1.docker.io\"
ca = \"ca.crt\"

[host.\"https://mirror.example\"]
capabilities = [\"pull\", \"resolve\"]
ca = \"ca.crt\"

[host.\"http://plain:5000\"]
capabilities = [\"pull\", \"resolve\"]
"
        );
        for path in
            ["/etc/containerd/certs.d/docker.io", "/etc/docker/certs.d/docker.io", "/etc/docker/certs.d/mirror.example"]
        {
            assert_eq!(plan.files[&format!("{path}/ca.crt")], "PEM\n");
        }
        let docker = for_dockerd(&[hub]);
        assert_eq!(docker.mirrors, ["https://mirror.example", "http://plain:5000"]);
        assert_eq!(docker.insecure, ["plain:5000"]);
    }

    #[test]
    fn a_mirror_s_path_is_the_root_of_its_api_for_containerd_and_what_comes_after_v2_for_docker() {
        let hub = Registry {
            mirrors: mirrors(&[
                "https://harbor.example/v2/proxy-cache",
                "https://harbor.example/v2/other-cache",
                "http://plain:5000/remote/v2",
            ]),
            authorities: vec!["PEM\n".to_owned()],
            ..registry(DOCKER_HUB)
        };
        let plan = Plan::new(std::slice::from_ref(&hub));
        assert_eq!(
            plan.files["/etc/containerd/certs.d/docker.io/hosts.toml"],
            "# Written by kubake-init at each boot.
server = \"https://registry-1.docker.io\"
ca = \"ca.crt\"

[host.\"https://harbor.example/v2/proxy-cache\"]
capabilities = [\"pull\", \"resolve\"]
override_path = true
ca = \"ca.crt\"

[host.\"https://harbor.example/v2/other-cache\"]
capabilities = [\"pull\", \"resolve\"]
override_path = true
ca = \"ca.crt\"

[host.\"http://plain:5000/remote/v2\"]
capabilities = [\"pull\", \"resolve\"]
override_path = true
"
        );
        assert_eq!(plan.files["/etc/docker/certs.d/harbor.example/ca.crt"], "PEM\n", "once, though it is two mirrors");
        let registries = [hub, Registry { mirrors: mirrors(&["https://m.example/r/v2"]), ..registry("a.example") }];
        let docker = for_dockerd(&registries);
        assert_eq!(docker.mirrors, ["https://harbor.example/proxy-cache", "https://harbor.example/other-cache"]);
        assert!(docker.insecure.is_empty(), "dockerd gets none of it");
        let unknown: Vec<String> = unknown_to_docker(&registries).map(Mirror::to_string).collect();
        assert_eq!(unknown, ["http://plain:5000/remote/v2"], "and not those that it would not use anyhow");
    }

    #[test]
    fn exceptions_from_tls_are_the_registry_s_own() {
        let mirrors = mirrors(&["https://mirror.example"]);
        let registries = [
            Registry { is_insecure: true, mirrors, ..registry("a.example") },
            Registry { is_plain_http: true, ..registry("b.example:5000") },
            registry("c.example"),
        ];
        let plan = Plan::new(&registries);
        assert!(plan.files["/etc/containerd/certs.d/a.example/hosts.toml"].matches("skip_verify = true").count() == 2);
        let plain = &plan.files["/etc/containerd/certs.d/b.example:5000/hosts.toml"];
        assert!(plain.ends_with("server = \"http://b.example:5000\"\n"), "{plain}");
        assert_eq!(plan.files.len(), 2);
        let docker = for_dockerd(&registries);
        assert_eq!(docker.insecure, ["a.example", "b.example:5000"]);
        assert!(docker.mirrors.is_empty(), "dockerd knows mirrors of Docker's registry only");
        assert_eq!(for_dockerd(&[]), Registries::default());
    }
}
