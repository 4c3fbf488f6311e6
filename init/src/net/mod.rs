//! The node's fixed address, and the routes that keep cluster addresses inside the container. `kernel` reads the present
//! state into a `snapshot`, `conflicts` checks it, and `attach` makes the changes. The only room that names rtnetlink.
//! Never changes an interface other than `lo`, a default route or a netfilter rule.
//!
//! **Why `lo`.** An address on `lo` survives every change that an engine makes to `eth0`, needs no kernel module (a dummy
//! interface does) and exists with `--network none` too.
//!
//! **Why these routes.** Before kube-proxy's rules exist, a packet to a service address would take the default route out
//! of the container and reach a host outside that has this address. `SUBNET dev lo src STATIC_IP` keeps the packet inside.
//! Alternatives, tried in a network namespace with an iptables DNAT rule as kube-proxy makes it:
//!
//! | route | without rules: host process, pod | with rules: host process, pod |
//! |---|---|---|
//! | none | a host outside answers | work |
//! | `unreachable` | fail at once | host process **fails**: the look-up comes before nat's OUTPUT chain; pod works |
//! | `local` | refused, unless a program listens on 0.0.0.0, which then answers; every service address counts as local, so kube-proxy's NodePort rules match it | work |
//! | `dev lo` | dropped (time-out), "no route to host" at once | work |

mod attach;
mod conflicts;
mod error;
mod kernel;
mod plan;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use attach::{attach, detach};
pub(crate) use plan::Plan;
