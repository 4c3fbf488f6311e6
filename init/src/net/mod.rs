//! The node's fixed address, and routes that keep cluster addresses inside the container: what there is first (`snapshot`),
//! then whether that leaves room (`conflicts`), then the changes, which are made here. The only module that names
//! rtnetlink. Never touches an interface other than `lo`, a default route or a rule of netfilter.
//!
//! **Why `lo`.** An address on `lo` survives whatever an engine does to `eth0`, needs no kernel module (a dummy
//! interface does) and is there with `--network none` too.
//!
//! **Why the routes, and why of this kind.** Before kube-proxy's rules exist, a packet to a service address would take
//! the default route out of the container and reach whoever has that address out there. `SUBNET dev lo src STATIC_IP`
//! ends it in here. What else was tried in a network namespace, with an iptables DNAT rule as kube-proxy makes it:
//!
//! | route | without rules: host process, pod | with rules: host process, pod |
//! |---|---|---|
//! | none | a stranger answers | work |
//! | `unreachable` | fail at once | host process **fails**: the look-up comes before nat's OUTPUT chain; pod works |
//! | `local` | refused, unless something listens on 0.0.0.0: then *that* answers; every service address counts as local, so kube-proxy's NodePort rules match it | work |
//! | `dev lo` | dropped (time-out), "no route to host" at once | work |

mod attach;
mod conflicts;
mod error;
mod kernel;
mod plan;
mod snapshot;
#[cfg(test)]
mod tests;

pub use attach::{Report, attach, detach};
pub use plan::Plan;
