//! The environment variables of the programs that run in the container. CI systems give a service container all variables of
//! their job, and many of them mean something to a daemon or client: `DOCKER_TLS_VERIFY`, `CONTAINER_RUNTIME_ENDPOINT`,
//! `SSL_CERT_FILE`, `TMPDIR`. So programs of the node get a list of variables, and hooks everything but a list.

use std::ffi::{OsStr, OsString};

use kubake_contract::{env, proxies};

/// Fixed for programs of the node. A job's own values do not count.
const FIXED: [(&str, &str); 2] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")];
/// What programs of the node inherit.
const INHERITED: [&str; 1] = ["TZ"];
/// Variables by which clients in a hook would find another engine, runtime or cluster than the node's.
const OF_OTHER_CLIENTS: [&str; 9] = [
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
    "DOCKER_CONTEXT",
    "CONTAINER_HOST",
    "CONTAINERD_ADDRESS",
    "CONTAINERD_NAMESPACE",
    "CONTAINER_RUNTIME_ENDPOINT",
    "IMAGE_SERVICE_ENDPOINT",
    "RUNTIME_CONFIG_FILE",
];

/// The variables of daemons and tools of the node.
pub(crate) fn of_node() -> Vec<(OsString, OsString)> {
    node_variables(std::env::vars_os())
}

/// The variables of hooks: the container's, without secrets, proxies and those that lead clients elsewhere.
pub(crate) fn of_hooks() -> Vec<(OsString, OsString)> {
    hook_variables(std::env::vars_os())
}

fn node_variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let inherited = all.filter(|(name, _)| INHERITED.iter().any(|inherited| name == inherited));
    FIXED.into_iter().map(|(name, value)| (name.into(), value.into())).chain(inherited).collect()
}

fn hook_variables(all: impl Iterator<Item = (OsString, OsString)>) -> Vec<(OsString, OsString)> {
    all.filter(|(name, _)| !is_kept_from_hooks(name)).collect()
}

fn is_kept_from_hooks(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    // A pod in which kubake itself runs has variables of its cluster's services.
    let is_of_outer_cluster =
        name == "KUBERNETES_PORT" || name.starts_with("KUBERNETES_PORT_") || name.starts_with("KUBERNETES_SERVICE_");
    let mut removed = env::SECRETS.into_iter().chain(proxies::VARIABLES).chain(OF_OTHER_CLIENTS);
    is_of_outer_cluster || removed.any(|removed| removed == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> impl Iterator<Item = (OsString, OsString)> {
        let names =
            ["CI_JOB_ID", "PATH", "TZ", "DOCKER_TLS_VERIFY", "SSL_CERT_FILE", "TMPDIR", "KUBERNETES_SERVICE_HOST"];
        names.into_iter().chain(env::SECRETS).map(|name| (name.into(), "job".into()))
    }

    #[test]
    fn programs_of_the_node_see_no_variable_of_a_job() {
        let variables = node_variables(job());
        let names: Vec<_> = variables.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["PATH", "HOME", "TZ"]);
        assert!(variables[0].1 != "job");
    }

    #[test]
    fn hooks_see_the_job_but_no_secret_and_no_other_engine() {
        let names: Vec<_> = hook_variables(job()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["CI_JOB_ID", "PATH", "TZ", "SSL_CERT_FILE", "TMPDIR"]);
    }
}
