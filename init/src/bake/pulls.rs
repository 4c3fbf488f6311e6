//! Ends a bake early when an image cannot be pulled: a misspelled image must not cost a quarter of an hour. Decides when the
//! bake gives up; kubelet pulls and retries.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::api::Client;
use crate::phases::BoxError;

const PODS: &str = "/api/v1/pods";
/// How long kubelet may fail to pull an image: registries are unreachable for a minute now and then.
const PATIENCE: Duration = Duration::from_secs(120);
/// Interval of the checks. A watch would not help, because what counts is how long an image has been failing.
const INTERVAL: Duration = Duration::from_secs(5);
/// kubelet's reasons for images that it keeps trying to pull (`pkg/kubelet/images/types.go`).
const FAILING: [&str; 2] = ["ErrImagePull", "ImagePullBackOff"];
/// kubelet's reasons for images that it does not try to pull.
const HOPELESS: [&str; 2] = ["ErrImageNeverPull", "InvalidImageName"];

/// Does the work, and fails early when it waits for an image that cannot be pulled.
pub(super) async fn or_failed_pull<T>(
    client: &Client,
    work: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    tokio::select! {
        outcome = work => outcome,
        reason = until_hopeless(client) => Err(reason.into()),
    }
}

async fn until_hopeless(client: &Client) -> String {
    let mut since: BTreeMap<String, Instant> = BTreeMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        // Readiness judges whether the API server answers.
        let Ok(pods) = client.get::<Value>(PODS).await else { continue };
        if let Some(reason) = judge(&pods, &mut since, Instant::now()) {
            return reason;
        }
    }
}

/// Returns the reason of the first image that cannot be pulled. `since` holds when each image began to fail.
fn judge(pods: &Value, since: &mut BTreeMap<String, Instant>, now: Instant) -> Option<String> {
    let mut failing = BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        let statuses = ["initContainerStatuses", "containerStatuses"].map(|kind| &pod["status"][kind]);
        for status in statuses.into_iter().filter_map(Value::as_array).flatten() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let waiting = &status["state"]["waiting"];
            let (reason, image) = (text(&waiting["reason"]), text(&status["image"]));
            let is_hopeless = HOPELESS.contains(&reason.as_str());
            if !is_hopeless && !FAILING.contains(&reason.as_str()) {
                continue;
            }
            let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
            let key = format!("pod {namespace}/{name}: image `{image}`");
            let first = since.get(&key).copied().unwrap_or(now);
            if is_hopeless || now.duration_since(first) >= PATIENCE {
                return Some(format!(
                    "{key} cannot be pulled ({reason}: {}); put it into images.d",
                    text(&waiting["message"])
                ));
            }
            failing.insert(key, first);
        }
    }
    *since = failing;
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pods(reason: &str) -> Value {
        json!({ "items": [{
            "metadata": { "namespace": "a", "name": "web" },
            "status": { "containerStatuses": [
                { "image": "there:1", "state": { "running": {} } },
                { "image": "gone:1", "state": { "waiting": { "reason": reason, "message": "not found" } } },
            ] },
        }] })
    }

    #[test]
    fn an_image_that_fails_for_long_is_given_up_and_one_that_recovers_is_not() {
        let (mut since, start) = (BTreeMap::new(), Instant::now());
        assert_eq!(judge(&pods("ErrImagePull"), &mut since, start), None);
        assert_eq!(judge(&pods("ContainerCreating"), &mut since, start + PATIENCE), None);
        assert_eq!(judge(&pods("ErrImagePull"), &mut since, start + PATIENCE), None, "from the beginning");
        assert_eq!(judge(&pods("ImagePullBackOff"), &mut since, start + PATIENCE + INTERVAL), None);
        let given_up = judge(&pods("ImagePullBackOff"), &mut since, start + 2 * PATIENCE);
        let expected = "pod a/web: image `gone:1` cannot be pulled (ImagePullBackOff: not found); put it into images.d";
        assert_eq!(given_up.as_deref(), Some(expected));
    }

    #[test]
    fn an_image_that_is_never_pulled_is_given_up_at_once() {
        let given_up = judge(&pods("ErrImageNeverPull"), &mut BTreeMap::new(), Instant::now());
        assert!(given_up.is_some_and(|text| text.contains("`gone:1` cannot be pulled (ErrImageNeverPull")));
    }
}
