//! Lists what runs at one moment, which the bake records in the image. Does not watch.

use std::time::SystemTime;

use kubake_contract::names::NodeName;
use tokio::time::Instant;

use super::evidence::Evidence;
use super::expected::{Expected, Scope};
use super::inventory::Inventory;
use super::known::{Change, learn};
use super::lists::{List, PODS, SLICES};
use super::objects::{EndpointSlice, Pod, Workload};
use super::workload_kind::WorkloadKind;
use crate::api::Client;
use crate::phases::BoxError;

/// The inventory of what runs now.
///
/// # Errors
/// When a list fails.
pub(crate) async fn take_inventory(
    client: &Client,
    node: &NodeName,
    expected: &'static Expected,
) -> Result<Inventory, BoxError> {
    let scope = Scope { boot: (Instant::now(), SystemTime::UNIX_EPOCH), inventory: None, expected };
    let mut evidence = Evidence::new(&scope, node.clone());
    learn(&mut evidence.pods, Change::Listed(client.get::<List<Pod>>(PODS).await?.items));
    learn(&mut evidence.slices, Change::Listed(client.get::<List<EndpointSlice>>(SLICES).await?.items));
    for kind in WorkloadKind::ALL {
        let list = client.get::<List<Workload>>(kind.path()).await?;
        learn(evidence.workloads.entry(kind).or_default(), Change::Listed(list.items));
    }
    Ok(evidence.inventory())
}
