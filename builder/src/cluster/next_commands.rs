//! The commands that a user types next when the cluster is up.

use kubake_contract::Endpoint;

use super::report::{Cluster, Port};
use crate::process::quote;
use crate::settings::{Key, Origin, Settings};

/// What to type when the cluster is up. Where the host has no kubectl, the node's own does.
#[must_use]
pub(crate) fn next_commands(
    cluster: &Cluster,
    settings: &Settings,
    host_has_kubectl: bool,
    has_token: bool,
) -> Vec<String> {
    let (mut kubectl, mut down) = ("kubectl".to_owned(), "kubake down".to_owned());
    if let Some(path) = &cluster.kubeconfig {
        if matches!(
            settings.origin(Key::KUBECONFIG),
            Origin::Flag(_) | Origin::File { .. } | Origin::Env("KUBAKE_KUBECONFIG")
        ) {
            kubectl.push_str(&format!(" --kubeconfig {}", quote(path.as_os_str())));
        }
        // `down` reads the file and the environment, too; only a flag must be repeated.
        if matches!(settings.origin(Key::KUBECONFIG), Origin::Flag(_)) {
            down.push_str(&format!(" --kubeconfig {}", quote(path.as_os_str())));
        }
    }
    if !cluster.current {
        kubectl.push_str(&format!(" --context {}", cluster.context));
    }
    if *settings.origin(Key::NAME) != Origin::Default {
        down.push_str(&format!(" --name {}", cluster.name));
    }
    let mut commands = Vec::new();
    if !host_has_kubectl {
        commands.push(format!("docker exec {} kubectl get nodes", cluster.name));
    } else if cluster.kubeconfig.is_some() {
        commands.push(format!("{kubectl} get nodes"));
    }
    if let Some(port) = cluster.ports.iter().find(|port| port.container == kubake_contract::ports::DOCKER_TLS) {
        commands.extend(docker_commands(cluster, port, has_token));
    }
    commands.push(down);
    commands
}

/// How to reach the node's Docker over TLS.
fn docker_commands(cluster: &Cluster, port: &Port, has_token: bool) -> [String; 2] {
    let directory = format!("~/.docker/{}", cluster.name);
    // The variable and not the token: what is printed here ends in logs.
    let bearer = if has_token { " -H \"Authorization: Bearer $KUBAKE_TOKEN\"" } else { "" };
    let host = cluster.endpoint.trim_start_matches("http://").rsplit_once(':').map_or("127.0.0.1", |(host, _)| host);
    [
        format!(
            "mkdir -p {directory} && curl -sSf{bearer} {}{} | tar -xC {directory}",
            cluster.endpoint,
            Endpoint::DockerClient.path()
        ),
        format!("DOCKER_HOST=tcp://{host}:{} DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={directory} docker ps", port.host),
    ]
}
