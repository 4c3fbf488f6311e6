//! A prune of all unused images, as Docker's API describes it, except that images which Kubernetes needs count as used:
//! those of pods, and those that are pinned because the image of this container brought them.

use std::collections::BTreeSet;

use hyper::Method;
use kubake_contract::ImageReference;
use kubake_contract::error_chain::chain;
use serde_json::{Value, json};

use super::engine::{Engine, EngineError};
use crate::cri::{self, CriError};

/// Why nothing was pruned.
#[derive(Debug, thiserror::Error)]
pub(super) enum PruneError {
    #[error("the images that Kubernetes needs cannot be listed, so none is removed")]
    Needed(#[from] CriError),
    #[error("the images cannot be listed")]
    Engine(#[from] EngineError),
}

/// A request to prune images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prune {
    /// `/v1.45`, or empty.
    version: String,
    /// The filters beside `dangling`, as JSON.
    filters: String,
}

impl Prune {
    /// Returns the request of this target; none if it is about dangling images alone, which no pod can name, or cannot be
    /// understood: dockerd answers that.
    pub(super) fn parse(target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?')?;
        let version = path.strip_suffix("/images/prune")?.to_owned();
        let filters = query.split('&').find_map(|pair| pair.strip_prefix("filters="))?;
        let mut filters: Value = serde_json::from_str(&decoded(filters)?).ok()?;
        let dangling = filters.as_object_mut()?.remove("dangling")?;
        let is_set = |value: &str| match &dangling {
            Value::Array(values) => values.iter().any(|one| one == value),
            Value::Object(values) => values.get(value).is_some_and(|set| set == true),
            _ => false,
        };
        let is_all = ["false", "0"].into_iter().any(is_set) && !["true", "1"].into_iter().any(is_set);
        is_all.then(|| Self { version, filters: filters.to_string() })
    }

    /// Removes what is not needed and returns the answer in the form of the API.
    ///
    /// # Errors
    /// When it is not known what is needed.
    pub(super) async fn run(&self, engine: &Engine) -> Result<Value, PruneError> {
        let needed: BTreeSet<String> = cri::needed_images().await?.iter().map(|name| full_name(name)).collect();
        let version = &self.version;
        let filters = encoded(&self.filters);
        let images = format!("{version}/images/json?all=1&shared-size=1&filters={filters}");
        let images = engine.ask(Method::GET, &images).await?;
        let containers = engine.ask(Method::GET, &format!("{version}/containers/json?all=1")).await?;
        let (mut removed, mut reclaimed) = (Vec::new(), 0);
        for image in removable(&images, &containers, &needed) {
            let mut is_gone = false;
            for name in &image.names {
                let target = format!("{version}/images/{}", encoded(name));
                match engine.ask(Method::DELETE, &target).await {
                    Ok(steps) => {
                        let steps = steps.as_array().cloned().unwrap_or_default();
                        is_gone |= steps.iter().any(|step| step["Deleted"].is_string());
                        removed.extend(steps);
                    }
                    // As Docker's own prune does: what cannot be removed stays.
                    Err(error) => tracing::debug!("{name} was not pruned: {}", chain(&error)),
                }
            }
            reclaimed += if is_gone { image.size } else { 0 };
        }
        let removed = if removed.is_empty() { Value::Null } else { removed.into() };
        Ok(json!({ "ImagesDeleted": removed, "SpaceReclaimed": reclaimed }))
    }
}

/// An image that neither Docker nor Kubernetes needs.
#[derive(Debug, PartialEq, Eq)]
struct Removable {
    /// What has to be removed: its names, or its id if it has none.
    names: Vec<String>,
    size: u64,
}

fn removable(images: &Value, containers: &Value, needed: &BTreeSet<String>) -> Vec<Removable> {
    let items = |list: &Value| list.as_array().cloned().unwrap_or_default();
    let used: Vec<Value> =
        items(containers).into_iter().flat_map(|one| [one["Image"].clone(), one["ImageID"].clone()]).collect();
    let mut removable = Vec::new();
    for image in items(images) {
        let strings = |field: &str| -> Vec<String> {
            items(&image[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let id = image["Id"].as_str().unwrap_or_default().to_owned();
        let (tags, digests) = (strings("RepoTags"), strings("RepoDigests"));
        let mut all = tags.iter().chain(&digests);
        let is_used =
            used.iter().any(|used| *used == *id) || all.clone().any(|name| used.iter().any(|used| used == name));
        if id.is_empty() || is_used || all.any(|name| needed.contains(&full_name(name))) {
            continue;
        }
        // `<none>:<none>` stands for a missing name in older versions of the API.
        let tags: Vec<String> = tags.into_iter().filter(|tag| !tag.contains("<none>")).collect();
        let bytes = |field: &str| image[field].as_i64().unwrap_or_default().max(0);
        let size = u64::try_from(bytes("Size") - bytes("SharedSize")).unwrap_or_default();
        removable.push(Removable { names: if tags.is_empty() { vec![id] } else { tags }, size });
    }
    removable
}

/// The name with registry and tag: Docker shortens its names, containerd does not.
fn full_name(name: &str) -> String {
    ImageReference::parse(name).map_or_else(|| name.to_owned(), |reference| reference.canonical())
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                rest = tail;
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

/// The text for a path or a query.
fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_prune_of_all_unused_images_is_the_guards() {
        let target = |filters: &str| format!("/v1.45/images/prune?x=1&filters={}", encoded(filters));
        for (filters, left) in [
            (r#"{"dangling":{"false":true}}"#, "{}"),
            (r#"{"dangling":["false"],"label":["a=b c"]}"#, r#"{"label":["a=b c"]}"#),
            (r#"{"dangling":{"0":true},"until":{"24h":true}}"#, r#"{"until":{"24h":true}}"#),
        ] {
            let expected = Prune { version: "/v1.45".to_owned(), filters: left.to_owned() };
            assert_eq!(Prune::parse(&target(filters)), Some(expected), "{filters}");
        }
        for filters in ["{}", r#"{"dangling":{"true":true}}"#, r#"{"dangling":"x"}"#, "[", "%"] {
            assert_eq!(Prune::parse(&target(filters)), None, "{filters}");
        }
        assert_eq!(Prune::parse("/images/prune"), None);
        assert_eq!(Prune::parse("/images/prune?filters=%7"), None);
    }

    #[test]
    fn images_of_pods_of_containers_and_of_the_bake_stay() {
        let image = |id: &str, tags: &[&str], digests: &[&str]| json!({ "Id": id, "RepoTags": tags, "RepoDigests": digests, "Size": 10, "SharedSize": 4 });
        let digest = format!("sha256:{}", "0a".repeat(32));
        let (by_digest, unnamed) = (format!("reg.example/x@{digest}"), format!("y@{digest}"));
        let images = json!([
            image("sha256:01", &["app:1", "app:2"], &[]),
            image("sha256:02", &["free:1", "free:2"], &[]),
            image("sha256:03", &[], &[&by_digest]),
            image("sha256:04", &["<none>:<none>"], &[&unnamed]),
            image("sha256:05", &["in-docker:1"], &[]),
            image("sha256:06", &["named:1"], &[]),
        ]);
        let containers = json!([{ "Image": "x", "ImageID": "sha256:05" }, { "Image": "named:1", "ImageID": "old" }]);
        let needed = BTreeSet::from(["docker.io/library/app:2".to_owned(), full_name(&by_digest)]);
        let expected = [
            Removable { names: vec!["free:1".to_owned(), "free:2".to_owned()], size: 6 },
            Removable { names: vec!["sha256:04".to_owned()], size: 6 },
        ];
        assert_eq!(removable(&images, &containers, &needed), expected);
    }
}
