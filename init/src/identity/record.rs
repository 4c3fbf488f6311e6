//! The record that an identity is complete, and for which names: the last file written, the first file read.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kubake_contract::paths;
use serde::{Deserialize, Serialize};

use super::error::IdentityError;
use super::store::Store;

/// The content of the record's file. Its existence means that all files of the identity exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Record {
    /// SHA-256 of the cluster CA's PEM in hexadecimal, for people who compare containers.
    pub(super) fingerprint: String,
    /// Whether etcd's slots are filled.
    pub(super) is_in_etcd: bool,
    /// Names and addresses in the serving certificates.
    pub(super) served: BTreeSet<String>,
    /// More names in the API server's, by which callers reached it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) asked: BTreeSet<String>,
    /// Begin of the certificates' validity, in seconds since 1970.
    pub(super) not_before: u64,
    /// End of the certificates' validity, in seconds since 1970.
    pub(super) not_after: u64,
}

impl Record {
    /// Whether the certificates stay in use: they are for the same names, and less than two thirds of their validity have
    /// passed. The last third is a reserve, because only a boot can renew them.
    pub(super) fn is_current(&self, served: &BTreeSet<String>, now: SystemTime) -> bool {
        let now = seconds(now);
        let renewed_at = self.not_after - self.not_after.saturating_sub(self.not_before) / 3;
        self.served == *served && self.not_before <= now && now < renewed_at
    }
}

pub(super) fn read(store: &Store<'_>) -> Result<Option<Record>, IdentityError> {
    let path = store.path(paths::IDENTITY);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Read { path, source }),
    };
    serde_yaml::from_str(&text).map(Some).map_err(|source| IdentityError::Record { path, source })
}

/// Writes the record in one step, because half a record would fail every later boot.
pub(super) fn write(store: &Store<'_>, record: &Record) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::Record { path: store.path(paths::IDENTITY), source };
    let text = serde_yaml::to_string(record).map_err(failed)?;
    store.replace(paths::IDENTITY, text.as_bytes(), false)
}

pub(super) fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
