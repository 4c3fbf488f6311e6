//! Errors of this room.

use std::time::Duration;

use super::conflicts::{Conflict, Conflicts};

/// The kernel answers within milliseconds. The limit keeps a boot from hanging forever when it does not answer.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The network cannot be attached or detached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetError {
    /// The cluster's addresses are in use otherwise. Nothing was changed.
    #[error("{}", Conflicts(.0))]
    Conflicts(Vec<Conflict>),
    #[error("cannot open a netlink socket; run the container with --privileged")]
    Connect(#[source] std::io::Error),
    /// The kernel refused a request.
    #[error("cannot {action}; run the container with --privileged")]
    Kernel {
        /// The request in words, such as `list routes`.
        action: String,
        #[source]
        source: Box<rtnetlink::Error>,
    },
    #[error("interface lo does not exist; start the container with a network namespace of its own")]
    NoLoopback,
    #[error("the kernel did not answer netlink requests within {} s; restart the container", LIMIT.as_secs())]
    Timeout,
}

pub(super) fn refused(action: impl FnOnce() -> String) -> impl FnOnce(rtnetlink::Error) -> NetError {
    move |source| NetError::Kernel { action: action(), source: Box::new(source) }
}
