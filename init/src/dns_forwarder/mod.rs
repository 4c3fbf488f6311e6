//! The DNS forwarder on the static IP: CoreDNS and pods with `dnsPolicy: Default` ask it, and it asks the servers of
//! the container's own `resolv.conf`, among them Docker's at 127.0.0.11, which no pod could reach. Owns its sockets
//! and the limits on them. It keeps no cache, answers nothing by itself except failure, and never forwards to itself.

mod ask;
mod forwarder;
mod message;
mod resolv_conf;
mod upstream;

pub(crate) use ask::ask;
pub(crate) use forwarder::Forwarder;
pub(crate) use resolv_conf::{ResolvConf, pod_resolv_conf};
