//! What can fail in this room.

use std::time::Duration;

use super::conflicts::{Conflict, Conflicts};

/// The kernel answers within milliseconds; this only keeps a boot from hanging for ever on one that does not.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// What [`attach`](super::attach()) can fail with.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The addresses we need mean something else here. Nothing was changed.
    #[error("{}", Conflicts(.0))]
    Conflicts(Vec<Conflict>),
    /// No connection to the kernel's routing.
    #[error("cannot open a netlink socket; run the container with --privileged")]
    Connect(#[source] std::io::Error),
    /// The kernel refused a request.
    #[error("cannot {action}; run the container with --privileged")]
    Kernel {
        /// What was asked for.
        action: String,
        /// The kernel's answer.
        #[source]
        source: Box<rtnetlink::Error>,
    },
    /// There is no loopback interface.
    #[error("interface lo does not exist; start the container with a network namespace of its own")]
    NoLoopback,
    /// The kernel did not answer.
    #[error("the kernel did not answer netlink requests within {} s; restart the container", LIMIT.as_secs())]
    Timeout,
}

pub(super) fn refused(action: impl FnOnce() -> String) -> impl FnOnce(rtnetlink::Error) -> NetError {
    move |source| NetError::Kernel { action: action(), source: Box::new(source) }
}
