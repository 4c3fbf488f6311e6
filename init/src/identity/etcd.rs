//! Puts the container's CAs into the frozen database of etcd, before etcd starts.

use std::fs;
use std::path::Path;

use super::error::IdentityError;
use super::files::{self, CLUSTER_CA, FRONT_PROXY_CA};
use super::slots::{self, Slot, SlotError};
use super::store::{read, write};
use crate::contract::ClusterSettings;
use crate::files::under;

/// etcd's database, in which the bake left room for what depends on the identity.
pub(super) const DATABASE: &str = "/var/lib/etcd/member/snap/db";

/// Writes what etcd holds of the CAs. A new file and not the old one changed in place: it is never seen half filled, and
/// the first write to a file of the image copies all of it anyway.
pub(super) fn fill(root: &Path, settings: &ClusterSettings) -> Result<(), IdentityError> {
    let path = under(root, DATABASE);
    let fresh = path.with_extension("identity");
    let cluster_ca = read(&under(root, CLUSTER_CA.0))?;
    let front_proxy_ca = read(&under(root, FRONT_PROXY_CA.0))?;
    let cluster_info = files::cluster_info(settings, &cluster_ca);
    let mut database = fs::read(&path).map_err(|source| IdentityError::Read { path: path.clone(), source })?;
    slots::fill(&mut database, |slot| match slot {
        Slot::ClusterCa => cluster_ca.clone(),
        Slot::FrontProxyCa => front_proxy_ca.clone(),
        Slot::ClusterInfo => cluster_info.clone(),
    })
    .or_else(|error| match error {
        // Renamed, and killed before the mark said so: all are filled or none.
        SlotError::None if holds(&database, &cluster_ca) => Ok(0),
        source => Err(IdentityError::Slots { path: path.clone(), source }),
    })?;
    write(&fresh, &database, true)?;
    fs::rename(&fresh, &path).map_err(|source| IdentityError::Write { path, source })
}

/// Whether a database holds a CA in the form in which it stands in a slot.
fn holds(database: &[u8], certificate: &str) -> bool {
    let text = serde_json::Value::from(certificate).to_string();
    database.windows(text.len()).any(|part| part == text.as_bytes())
}
