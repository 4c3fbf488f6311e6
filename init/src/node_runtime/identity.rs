//! The node's keys and certificates, at the addresses that the container has now.

use std::path::Path;
use std::time::SystemTime;

use super::NodeRuntime;
use crate::identity;
use crate::phases::BoxError;

impl NodeRuntime {
    /// The facts for which the container's certificates are made.
    #[must_use]
    pub(crate) fn node_facts(&self) -> identity::NodeFacts {
        let hostname = nix::unistd::gethostname().unwrap_or_default();
        identity::NodeFacts {
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
        let (settings, facts) = (self.settings.clone(), self.node_facts());
        let ensure = move || identity::ensure_at(Path::new("/"), &settings, &request, &facts);
        // It takes milliseconds, in which the HTTP server has to answer.
        match tokio::task::spawn_blocking(ensure).await?? {
            identity::Outcome::Made => tracing::debug!("this container has an identity of its own now"),
            identity::Outcome::Kept => {}
            identity::Outcome::Renewed => tracing::info!("certificates were renewed; the CAs are the same"),
        }
        Ok(())
    }
}
