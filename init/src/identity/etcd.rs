//! Puts the container's CAs into the frozen database of etcd, before etcd starts.

use std::fs;

use kubake_contract::Node;

use super::error::IdentityError;
use super::files::{self, CLUSTER_CA, FRONT_PROXY_CA};
use super::slots::{self, Slot, SlotError};
use super::store::Store;

/// etcd's database, in which the bake left slots for the CAs.
pub(super) const DATABASE: &str = "/var/lib/etcd/member/snap/db";

/// Fills the slots. Writes a new file instead of changing the old one in place, so that the database is never half filled.
/// The first write to a file of the image would copy all of it anyway.
pub(super) fn fill(store: &Store<'_>, node: &Node) -> Result<(), IdentityError> {
    let path = store.path(DATABASE);
    let cluster_ca = store.read(CLUSTER_CA.0)?;
    let front_proxy_ca = store.read(FRONT_PROXY_CA.0)?;
    let cluster_info = files::cluster_info(node, &cluster_ca);
    let mut database = fs::read(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?;
    slots::fill(&mut database, |slot| match slot {
        Slot::ClusterCa => cluster_ca.clone(),
        Slot::FrontProxyCa => front_proxy_ca.clone(),
        Slot::ClusterInfo => cluster_info.clone(),
    })
    .or_else(|error| match error {
        // An earlier boot was killed after the rename and before it wrote the record. All slots are filled.
        SlotError::None if holds(&database, &cluster_ca) => Ok(0),
        source => Err(IdentityError::Slots { path: path.clone(), source }),
    })?;
    store.replace(DATABASE, &database, true)
}

/// Whether a database holds a CA in the form of a filled slot.
fn holds(database: &[u8], certificate: &str) -> bool {
    let text = serde_json::Value::from(certificate).to_string();
    database.windows(text.len()).any(|part| part == text.as_bytes())
}
