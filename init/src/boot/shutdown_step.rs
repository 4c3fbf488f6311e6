//! The steps of an orderly stop, as data.

/// A step of an orderly stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShutdownStep {
    /// Stops the daemon with this name, if it was started.
    Daemon(&'static str),
    /// Stops all pods in their turns, if the daemon with this name was started.
    Pods { through: &'static str },
    /// Ends the DNS forwarder and the Docker API on TCP.
    SideServices,
}
