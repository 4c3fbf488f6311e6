//! How long things may take, unless a setting or a variable says otherwise.

use std::time::Duration;

/// How long one hook of a bake may take by default.
pub const BAKE_HOOK_TIMEOUT: Duration = Duration::from_secs(1800);

/// How long one hook of a boot may take, unless [`env::HOOK_TIMEOUT`] says otherwise.
pub const BOOT_HOOK_TIMEOUT: Duration = Duration::from_secs(600);

/// What `docker stop` grants by default, unless [`env::STOP_TIMEOUT`] says otherwise.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// After how long without readiness `kubake-init` gives a boot up, unless [`env::BOOT_TIMEOUT`] says otherwise.
pub const BOOT_TIMEOUT: Duration = Duration::from_secs(900);

/// How long [`roles::HEALTHCHECK`] waits for a cluster that boots. So long, because each check costs the boot the
/// processor time of a `docker exec`, and one that waits ends in the moment in which the cluster is ready.
pub const HEALTHCHECK_WAIT: Duration = Duration::from_secs(25);

/// What [`roles::HEALTHCHECK`] may take in all: the wait and an answer that comes late. The engine's timeout is longer.
pub const HEALTHCHECK_LIMIT: Duration = Duration::from_secs(28);

/// How long certificates are valid that a container makes, unless [`env::CERT_VALIDITY`] says otherwise: ten years. The
/// predecessor's died after one.
pub const CERT_LIFETIME: Duration = Duration::from_secs(3650 * 24 * 3600);
