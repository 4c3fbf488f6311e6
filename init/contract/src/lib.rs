//! What `kubake` and `kubake-init` agree on: names, ports, paths, variables, settings, endpoints and what they serve, and
//! how both parse what users hand to either. Starts nothing, serves nothing, and knows no engine.

pub mod authorities;
mod bake_request;
mod cluster_settings;
mod endpoints;
pub mod env;
pub mod error_chain;
mod event;
pub mod exit;
pub mod hex;
pub mod hook_env;
pub mod hooks;
mod image_reference;
pub mod labels;
pub mod moments;
pub mod names;
mod node;
pub mod paths;
pub mod pem;
pub mod ports;
pub mod proxies;
pub mod registries;
pub mod roles;
pub mod status;
mod timeouts;
pub mod token;
pub mod usage;

pub use bake_request::{ADDON_PREFIX, BakeRequest, CONTROL_PLANE_ARCHIVE, MANIFESTS_DIR};
pub use cluster_settings::{CONTROL_PLANE_CPU, ClusterSettings, is_certificate_name};
pub use endpoints::{Endpoint, Guard};
pub use event::Event;
pub use image_reference::ImageReference;
pub use node::{Node, NodeAddresses, NodeRole, PodCidrs, RESOLVER_ADDRESS};
pub use timeouts::{
    BAKE_HOOK_TIMEOUT, BOOT_HOOK_TIMEOUT, BOOT_TIMEOUT, CERT_LIFETIME, HEALTHCHECK_LIMIT, HEALTHCHECK_WAIT,
    STOP_TIMEOUT,
};
