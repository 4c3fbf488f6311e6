//! Waits for Jobs that the bake started, such as a migration: a Job frozen halfway would start again at every boot.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::api::Client;
use crate::phases::BoxError;

const JOBS: &str = "/apis/batch/v1/jobs";
/// Time limit for all Jobs together.
const PATIENCE: Duration = Duration::from_secs(1800);

/// Progress of the Jobs as a whole.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Done,
    Waiting(Vec<String>),
    Failed(String),
}

/// Waits until every Job is complete, except suspended ones and those of CronJobs, which run on a schedule.
pub(super) async fn until_complete(client: &Client) -> Result<(), BoxError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list: Value = client.get(JOBS).await?;
        let waiting = match judge(&list) {
            State::Done => return Ok(()),
            State::Failed(reason) => return Err(reason.into()),
            State::Waiting(names) => names,
        };
        let late = || format!("Jobs are not complete after {} s: {}", PATIENCE.as_secs(), waiting.join(", "));
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        let path = format!("{JOBS}?watch=1&allowWatchBookmarks=true&resourceVersion={version}");
        let mut watch = client.watch::<Value>(&path, Duration::from_secs(150)).await?;
        // The next round lists again, after any event and after the end of the watch.
        match tokio::time::timeout_at(deadline, watch.next()).await {
            Ok(_) => {}
            Err(_) => return Err(late().into()),
        }
    }
}

fn judge(list: &Value) -> State {
    let mut waiting = Vec::new();
    for job in list["items"].as_array().into_iter().flatten() {
        let text = |field: &str| job["metadata"][field].as_str().unwrap_or_default();
        let name = format!("{}/{}", text("namespace"), text("name"));
        let is_scheduled = job["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|owners| owners.iter().any(|owner| owner["kind"] == "CronJob"));
        if is_scheduled || job["spec"]["suspend"] == true {
            continue;
        }
        let condition = |kind: &str| {
            let conditions = job["status"]["conditions"].as_array()?;
            conditions.iter().find(|condition| condition["type"] == kind && condition["status"] == "True")
        };
        if let Some(failed) = condition("Failed") {
            let message = failed["message"].as_str().unwrap_or("no reason given");
            return State::Failed(format!("Job {name} failed: {message}"));
        }
        if condition("Complete").is_none() {
            waiting.push(name);
        }
    }
    if waiting.is_empty() { State::Done } else { State::Waiting(waiting) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(name: &str, condition: &str) -> Value {
        let conditions = json!([{ "type": condition, "status": "True", "message": "BackoffLimitExceeded" }]);
        json!({ "metadata": { "namespace": "a", "name": name }, "spec": {}, "status": { "conditions": conditions } })
    }

    #[test]
    fn all_must_be_complete_and_none_failed() {
        let judged = |jobs: &[Value]| judge(&json!({ "items": jobs }));
        assert_eq!(judged(&[]), State::Done);
        assert_eq!(judged(&[job("x", "Complete")]), State::Done);
        assert_eq!(judged(&[job("x", "Complete"), job("y", "Suspended")]), State::Waiting(vec!["a/y".to_owned()]));
        let failed = State::Failed("Job a/z failed: BackoffLimitExceeded".to_owned());
        assert_eq!(judged(&[job("y", "Suspended"), job("z", "Failed")]), failed);
        let (mut suspended, mut scheduled) = (job("s", "Suspended"), job("c", "Running"));
        suspended["spec"]["suspend"] = true.into();
        scheduled["metadata"]["ownerReferences"] = json!([{ "kind": "CronJob" }]);
        assert_eq!(judged(&[suspended, scheduled]), State::Done);
    }
}
