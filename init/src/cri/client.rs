//! The client: one function per request. Parsing is apart from running crictl.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde::Deserialize;

use crate::command::{CommandError, Run};

/// A running container, as `crictl ps --output json` lists it.
#[derive(Debug, Deserialize)]
pub(crate) struct Container {
    pub(crate) id: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Container {
    /// The namespace of the container's pod; empty for a container that kubelet did not start.
    pub(crate) fn namespace(&self) -> &str {
        self.label("io.kubernetes.pod.namespace")
    }

    /// The container's name in its pod; empty for a container that kubelet did not start.
    pub(crate) fn name(&self) -> &str {
        self.label("io.kubernetes.container.name")
    }

    /// The time that the pod wants for its end (`terminationGracePeriodSeconds`), which kubelet writes into an annotation
    /// (`pkg/kubelet/kuberuntime/labels.go`).
    fn grace(&self) -> Option<Duration> {
        self.annotations.get("io.kubernetes.pod.terminationGracePeriod")?.parse().ok().map(Duration::from_secs)
    }

    fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }
}

#[derive(Debug, Deserialize)]
struct Listing {
    #[serde(default)]
    containers: Vec<Container>,
}

/// A request to containerd that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CriError {
    /// crictl could not be run, failed, or took too long.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// crictl's listing is not JSON of the expected shape.
    #[error("failed to parse the output of `crictl ps`; bake the image again")]
    Listing(#[from] serde_json::Error),
}

/// Lists all running containers.
pub(crate) async fn running_containers() -> Result<Vec<Container>, CriError> {
    let listing = crictl().args(["ps", "--output", "json"]).timeout(Duration::from_secs(10)).capture().await?;
    Ok(parse(&listing)?)
}

/// Returns the first running container of this name, in any pod.
pub(crate) async fn find_running(name: &str) -> Result<Option<Container>, CriError> {
    let pattern = format!("^{name}$");
    let listing = crictl().args(["ps", "--name", pattern.as_str(), "--output", "json"]).capture().await?;
    Ok(parse(&listing)?.into_iter().next())
}

/// How many requests to stop a container run at the same time. Each is a process of crictl.
const STOPS_AT_ONCE: usize = 32;

/// Stops containers, all at the same time. Each gets the time that its pod wants for its end, and at most `grace`; then it
/// is killed. crictl stops the containers of one call one after another and ends at the first failure, so each container
/// gets a call of its own.
///
/// # Errors
/// The first failure, after all others have been stopped.
pub(crate) async fn stop_containers(containers: &[&Container], grace: Duration) -> Result<(), CriError> {
    let stops = containers.iter().map(|one| stop_container(&one.id, one.grace().unwrap_or(grace).min(grace)));
    let outcomes: Vec<_> = stream::iter(stops).buffer_unordered(STOPS_AT_ONCE).collect().await;
    outcomes.into_iter().collect()
}

async fn stop_container(id: &str, grace: Duration) -> Result<(), CriError> {
    let seconds = grace.as_secs().to_string();
    // Succeeds also if the container has ended since it was listed: the request is idempotent.
    crictl().args(["stop", "--timeout", seconds.as_str(), id]).timeout(grace + slack(grace)).capture().await?;
    Ok(())
}

/// Time for a kill and for crictl itself, which takes seconds on a machine that is busy with something else: little if the
/// whole stop has little time.
fn slack(grace: Duration) -> Duration {
    (grace / 2).clamp(Duration::from_secs(3), Duration::from_secs(10))
}

/// Removes every pod with its containers and its network, running or not.
pub(crate) async fn remove_pods() -> Result<(), CriError> {
    crictl().args(["rmp", "--all", "--force"]).timeout(Duration::from_secs(60)).capture().await?;
    Ok(())
}

/// Runs a program in a running container and returns its standard output.
pub(crate) async fn exec(
    container: &Container,
    command: impl IntoIterator<Item = impl AsRef<OsStr>>,
    timeout: Duration,
) -> Result<String, CommandError> {
    crictl().args(["exec", container.id.as_str()]).args(command).timeout(timeout).capture().await
}

/// crictl finds containerd's socket in the image's `/etc/crictl.yaml`.
fn crictl() -> Run {
    Run::new("/usr/local/bin/crictl")
}

fn parse(listing: &str) -> Result<Vec<Container>, serde_json::Error> {
    serde_json::from_str::<Listing>(listing).map(|listing| listing.containers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_listed_with_their_pod_and_name() {
        let listing = serde_json::json!({ "containers": [
            { "id": "a", "labels": {
                "io.kubernetes.pod.namespace": "kube-system", "io.kubernetes.container.name": "etcd" },
              "annotations": { "io.kubernetes.pod.terminationGracePeriod": "30" } },
            { "id": "b" },
        ] });
        let containers = parse(&listing.to_string()).unwrap();
        assert_eq!(containers[0].id, "a");
        assert_eq!((containers[0].namespace(), containers[0].name()), ("kube-system", "etcd"));
        assert_eq!((containers[0].grace(), containers[1].grace()), (Some(Duration::from_secs(30)), None));
        assert_eq!((containers[1].namespace(), containers[1].name()), ("", ""));
    }

    #[test]
    fn nothing_running_is_an_empty_list() {
        assert!(parse("{}").unwrap().is_empty());
        assert!(parse("no JSON").is_err());
    }
}
