//! The clusters that several cases use, one after the other. A shared cluster serves all cases that leave it as they found
//! it. It is checked each time a case gets it, and replaced if an earlier case broke it, so that one failure stays one
//! failure.

use std::ops::Deref;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Result;
use kubake_contract::env;

use crate::PREFIX;
use crate::cluster::Cluster;
use crate::lab::{self, Lab, keeps, lock};

/// A name and an address that the certificate of the other shared cluster's API server has beside the usual ones.
pub const OTHER_SANS: [&str; 2] = ["extra.example", "10.1.2.3"];
/// How long the certificates of the other shared cluster are valid.
pub const OTHER_VALIDITY: Duration = Duration::from_secs(48 * 3600);
/// How long a cluster that was just used may take to settle before it counts as broken.
const SETTLE_PATIENCE: Duration = Duration::from_secs(60);

static SHARED: Mutex<Option<Cluster>> = Mutex::new(None);
static OTHER: Mutex<Option<Cluster>> = Mutex::new(None);

/// Removes the shared clusters and the lab's files. To be called after the last case, because statics are never dropped.
pub fn close() {
    drop(lock(&OTHER).take());
    if let Some(cluster) = lock(&SHARED).take() {
        if keeps() { cluster.keep() } else { drop(cluster) }
    }
    lab::close();
}

/// A cluster that other cases use, too, one after the other.
#[derive(Debug)]
pub struct Shared(MutexGuard<'static, Option<Cluster>>);

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        // Only `shared` makes one of these, after it has put a cluster there, and the lock keeps it there.
        self.0.as_ref().unwrap_or_else(|| unreachable!("a shared cluster is handed out when it exists"))
    }
}

impl Lab {
    /// The shared cluster, ready.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn shared(&'static self) -> Result<Shared> {
        let mut shared = lock(&SHARED);
        if let Some(cluster) = shared.as_ref() {
            if cluster.wait_ready(SETTLE_PATIENCE).is_err() {
                *shared = None;
            }
        }
        if shared.is_none() {
            let image = self.image()?;
            // The node port is for the case that reaches a service from outside.
            let arguments = ["--image", image, "--publish", &format!("auto:{}", crate::manifests::NODE_PORT)];
            *shared = Some(Cluster::up(self, PREFIX, &arguments)?);
        }
        Ok(Shared(shared))
    }

    /// Another shared cluster of the same image, ready, started with `docker run` and with certificates as
    /// [`OTHER_SANS`] and [`OTHER_VALIDITY`] say. For cases that compare two; it runs until it is retired.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn other(&'static self) -> Result<Shared> {
        let mut other = lock(&OTHER);
        if other.as_ref().is_some_and(|cluster| cluster.wait_ready(SETTLE_PATIENCE).is_err()) {
            *other = None;
        }
        if other.is_none() {
            let sans = format!("--env={}={}", env::CERT_SANS, OTHER_SANS.join(","));
            let validity = format!("--env={}={}h", env::CERT_VALIDITY, OTHER_VALIDITY.as_secs() / 3600);
            *other = Some(Cluster::run(self, &format!("{PREFIX}-other"), &[&sans, &validity])?);
        }
        Ok(Shared(other))
    }

    /// Removes the other shared cluster, so that it takes nothing from the cases that follow.
    pub fn retire_other(&self) {
        drop(lock(&OTHER).take());
    }

    /// Removes both shared clusters, for a case that none of them would survive. One that is to be kept stays.
    pub fn retire(&self) {
        self.retire_other();
        if !keeps() {
            drop(lock(&SHARED).take());
        }
    }
}
