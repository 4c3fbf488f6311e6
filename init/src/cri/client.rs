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

#[derive(Debug, Deserialize)]
struct Images {
    #[serde(default)]
    images: Vec<Image>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Image {
    id: String,
    #[serde(default)]
    repo_tags: Vec<String>,
    #[serde(default)]
    repo_digests: Vec<String>,
    #[serde(default)]
    pinned: bool,
}

#[derive(Debug, Deserialize)]
struct Users {
    #[serde(default)]
    containers: Vec<User>,
}

/// A container as a user of its image. Which field holds the image's id depends on the version of the CRI.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct User {
    #[serde(default)]
    image_id: String,
    #[serde(default)]
    image_ref: String,
}

/// A request to containerd that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CriError {
    /// crictl could not be run, failed, or took too long.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// crictl's listing is not JSON of the expected shape.
    #[error("failed to parse the output of crictl; bake the image again")]
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

/// Returns all names of the images that are pinned or that a container of a pod uses, running or not.
pub(crate) async fn needed_images() -> Result<Vec<String>, CriError> {
    let timeout = Duration::from_secs(60);
    // Containers first: an image that comes later is younger than the request.
    let users = crictl().args(["ps", "--all", "--output", "json"]).timeout(timeout).capture().await?;
    let images = crictl().args(["images", "--output", "json"]).timeout(timeout).capture().await?;
    Ok(needed(serde_json::from_str(&images)?, &serde_json::from_str(&users)?))
}

fn needed(images: Images, users: &Users) -> Vec<String> {
    let is_used = |id: &str| users.containers.iter().any(|user| user.image_id == id || user.image_ref == id);
    let needed = images.images.into_iter().filter(|image| image.pinned || is_used(&image.id));
    needed.flat_map(|image| image.repo_tags.into_iter().chain(image.repo_digests)).collect()
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
    fn pinned_images_and_those_of_containers_are_needed() {
        let image = |id: &str, pinned: bool| serde_json::json!({ "id": id, "repoTags": [format!("{id}:1")], "repoDigests": [format!("{id}@d")], "pinned": pinned });
        let images = serde_json::json!({ "images": [image("a", true), image("b", false), image("c", false), image("d", false)] });
        let users = serde_json::json!({ "containers": [{ "imageId": "b", "imageRef": "x" }, { "imageRef": "c" }] });
        let needed = needed(serde_json::from_value(images).unwrap(), &serde_json::from_value(users).unwrap());
        assert_eq!(needed, ["a:1", "a@d", "b:1", "b@d", "c:1", "c@d"]);
    }

    #[test]
    fn nothing_running_is_an_empty_list() {
        assert!(parse("{}").unwrap().is_empty());
        assert!(parse("no JSON").is_err());
    }
}
