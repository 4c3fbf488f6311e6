//! The DNS forwarder on the resolver's address: CoreDNS and pods with `dnsPolicy: Default` query it, and it forwards to the
//! servers of the container's own `resolv.conf`, among them Docker's at 127.0.0.11, which no pod can reach. Owns its
//! sockets and the limits on them. It keeps no cache, answers itself only names of the container's `/etc/hosts` and with
//! SERVFAIL, and never forwards to itself.

mod ask;
mod forwarder;
mod hosts;
mod message;
mod resolv_conf;
mod upstream;

pub(crate) use ask::ask;
pub(crate) use forwarder::Forwarder;
pub(crate) use resolv_conf::{ResolvConf, pod_resolv_conf};
