//! Lists of the API server that are followed by watches, and where they are.

use std::time::Duration;

use kubake_contract::error_chain::chain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::known::Change;
use super::news::News;
use super::objects::Metadata;
use super::retry::Retry;
use crate::api::{ApiError, Client, WatchKind};

/// Objects in one page of a list, so that no answer is too long to be read however many there are.
const PAGE: usize = 500;
/// A watch that is silent for longer is opened again: the API server sends bookmarks about once a minute.
const WATCH_IDLE: Duration = Duration::from_secs(150);

pub(super) const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
pub(super) const NODES: &str = "/api/v1/nodes";
pub(super) const PODS: &str = "/api/v1/pods";
pub(super) const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices";

/// A list in the form of the API.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    metadata: Metadata,
    pub(super) items: Vec<T>,
}

/// The client and the channels that all followed lists share.
pub(super) struct Lists<'a> {
    pub(super) client: &'a Client,
    pub(super) wanted: watch::Receiver<bool>,
    pub(super) sender: mpsc::Sender<News>,
}

impl Lists<'_> {
    /// Lists, then watches, again and again, until the receiver is gone. `what` names the objects in messages.
    pub(super) async fn follow<T>(&self, what: &'static str, path: String, news: impl Fn(Change<T>) -> News)
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut retry = Retry::new();
        let mut wanted = self.wanted.clone();
        let mut is_unreadable = false;
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            match self.list::<T>(&path).await {
                Ok(list) => {
                    retry.reset();
                    if is_unreadable && self.sender.send(News::Unreadable(what, None)).await.is_err() {
                        return;
                    }
                    is_unreadable = false;
                    if self.sender.send(news(Change::Listed(list.items))).await.is_err()
                        || self.watch(&watch_path(&path, &list.metadata.resource_version), &news).await.is_err()
                    {
                        return;
                    }
                }
                Err(error) => {
                    tracing::debug!("list {path}: {}", chain(&error));
                    is_unreadable = true;
                    if self.sender.send(News::Unreadable(what, Some(chain(&error)))).await.is_err() {
                        return;
                    }
                }
            }
            sleep(retry.next()).await;
        }
    }

    /// Reads all pages of a list.
    async fn list<T>(&self, path: &str) -> Result<List<T>, ApiError>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut list: List<T> = self.client.get(&page_path(path, "")).await?;
        while !list.metadata.r#continue.is_empty() {
            let page: List<T> = self.client.get(&page_path(path, &list.metadata.r#continue)).await?;
            list.items.extend(page.items);
            list.metadata = page.metadata;
        }
        Ok(list)
    }

    async fn watch<T>(&self, path: &str, news: impl Fn(Change<T>) -> News) -> Result<(), Deaf>
    where
        T: DeserializeOwned + Send + 'static,
    {
        let mut watch = match self.client.watch::<T>(path, WATCH_IDLE).await {
            Ok(watch) => watch,
            Err(error) => {
                tracing::debug!("watch {path}: {}", chain(&error));
                return Ok(());
            }
        };
        // Most likely the resource version is too old: list again.
        while let Some(Ok(event)) = watch.next().await {
            let change = match event.kind {
                WatchKind::Added | WatchKind::Modified => Change::Changed(event.object),
                WatchKind::Deleted => Change::Gone(event.object),
            };
            self.sender.send(news(change)).await.map_err(|_| Deaf)?;
        }
        Ok(())
    }
}

/// The receiver of the news is gone.
struct Deaf;

fn watch_path(path: &str, version: &str) -> String {
    format!("{path}{}watch=1&allowWatchBookmarks=true&resourceVersion={version}", joint(path))
}

/// The token is URL-safe (`apiserver/pkg/storage/continue.go`: base64.RawURLEncoding).
fn page_path(path: &str, token: &str) -> String {
    let continued = if token.is_empty() { String::new() } else { format!("&continue={token}") };
    format!("{path}{}limit={PAGE}{continued}", joint(path))
}

fn joint(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}
