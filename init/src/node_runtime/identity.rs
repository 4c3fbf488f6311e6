//! The node's keys and certificates, at the addresses that the container has now.

use std::path::Path;
use std::time::SystemTime;

use super::NodeRuntime;
use crate::identity;
use crate::phases::BoxError;

impl NodeRuntime {
    /// The place at which the container uses its identity.
    #[must_use]
    pub(crate) fn place(&self) -> identity::Place {
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        identity::Place {
            node: self.node.clone(),
            addresses: self.addresses.clone(),
            hostname: hostname.to_string_lossy().into_owned(),
            now: SystemTime::now(),
        }
    }

    /// Makes the container's keys and certificates, or keeps or renews those it has.
    ///
    /// # Errors
    /// When a key or certificate cannot be made or written.
    pub(crate) async fn ensure_identity(&self, request: identity::Request) -> Result<(), BoxError> {
        let (settings, place) = (self.settings.clone(), self.place());
        let ensure = move || identity::ensure_at(Path::new("/"), &settings, &request, &place);
        // It takes milliseconds, in which the HTTP server has to answer.
        match tokio::task::spawn_blocking(ensure).await?? {
            identity::Outcome::Made => tracing::debug!("this container has an identity of its own now"),
            identity::Outcome::Kept => {}
            identity::Outcome::Renewed => tracing::info!("certificates were renewed; the CAs are the same"),
        }
        Ok(())
    }
}
