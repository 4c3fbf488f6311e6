//! Environment variables that `kubake-init` reads.

/// The port under which callers outside reach the API server, when it is not 8443 (`kubake up` sets it).
pub const API_PORT: &str = "KUBAKE_API_PORT";
/// Overrides the baked static IP's conflict check: `off` takes the address even if a route leads to it elsewhere.
pub const STATIC_IP_CHECK: &str = "KUBAKE_STATIC_IP_CHECK";
/// Seconds that an orderly stop may take, as many as `docker stop --time` grants; [`crate::STOP_TIMEOUT`] by default.
pub const STOP_TIMEOUT: &str = "KUBAKE_STOP_TIMEOUT";
/// Seconds without readiness after which a boot is given up; [`crate::BOOT_TIMEOUT`] by default.
pub const BOOT_TIMEOUT: &str = "KUBAKE_BOOT_TIMEOUT";
/// More names and addresses for the certificates that a container makes, separated by commas, beside the baked ones.
pub const CERT_SANS: &str = "KUBAKE_CERT_SANS";
/// How long certificates are valid that a container makes, such as `3650d` (the default) or `24h`.
pub const CERT_VALIDITY: &str = "KUBAKE_CERT_VALIDITY";
/// A CA certificate to use instead of one made at first boot: PEM, or the path of a file that holds it.
pub const CA_CERT: &str = "KUBAKE_CA_CERT";
/// Its private key, likewise.
pub const CA_KEY: &str = "KUBAKE_CA_KEY";
/// A token without which credentials and logs are not served over HTTP.
pub const TOKEN: &str = "KUBAKE_TOKEN";
/// The path of a file that holds the token.
pub const TOKEN_FILE: &str = "KUBAKE_TOKEN_FILE";
/// `off`: nothing listens on the Docker port without TLS.
pub const DOCKER_TCP: &str = "KUBAKE_DOCKER_TCP";
/// How long a hook of the boot may take, such as `90s` or `10m`; [`crate::BOOT_HOOK_TIMEOUT`] by default.
pub const HOOK_TIMEOUT: &str = "KUBAKE_HOOK_TIMEOUT";
/// What a failed hook of the boot means: `fail` ends the boot, `report` is said in the log and on `/status`. By default
/// the hooks of `before-boot` fail and those of `kubernetes-ready` report.
pub const HOOK_FAILURE: &str = "KUBAKE_HOOK_FAILURE";
/// A registry to log in at, for pods and Docker (this and the next two are bsycorp/kind's).
pub const REGISTRY: &str = "REGISTRY";
/// The user there.
pub const REGISTRY_USER: &str = "REGISTRY_USER";
/// The password there.
pub const REGISTRY_PASSWORD: &str = "REGISTRY_PASSWORD";
/// The path of a file with logins, mirrors and CAs of several registries.
pub const REGISTRIES_FILE: &str = "KUBAKE_REGISTRIES_FILE";
/// CAs that the container's programs trust beside Debian's: PEM, or the path of a file that holds it.
pub const EXTRA_CA_CERTS: &str = "KUBAKE_EXTRA_CA_CERTS";
/// The node is as large as the container's limits and not as its host (the name is bsycorp/kind's).
pub const ENFORCE_CAPACITY: &str = "ENFORCE_CAPACITY";
/// Log filter in `tracing`'s syntax, `info` by default.
pub const LOG: &str = "KUBAKE_LOG";
/// Those whose values are secrets: no program that `kubake-init` starts inherits them.
pub const SECRETS: [&str; 3] = [TOKEN, CA_KEY, REGISTRY_PASSWORD];
