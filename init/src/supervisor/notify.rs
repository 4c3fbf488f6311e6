//! The receiving end of `sd_notify(3)`: a datagram socket to which a daemon sends `READY=1`. containerd, dockerd and
//! kubelet all do. Ignores everything but readiness.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use super::error::ServiceError;

/// One daemon's socket; dropping it removes the file.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    pub(super) fn bind(path: &Path) -> Result<Self, ServiceError> {
        // The socket of an earlier start would make bind fail; nothing listens on it.
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path)
            .map_err(|source| ServiceError::Notify { path: path.display().to_string(), source })?;
        Ok(Self { socket, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns true when the daemon reports readiness, or false when the socket fails.
    pub(super) async fn ready(&self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) if holds_ready(&buffer[..length]) => return true,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("notify socket {}: {error}", self.path.display());
                    return false;
                }
            }
        }
    }
}

impl Drop for NotifySocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whether a datagram, which holds assignments in lines (`sd_notify(3)`), reports readiness.
fn holds_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_assignment_counts() {
        assert!(holds_ready(b"READY=1"));
        assert!(holds_ready(b"STATUS=fine\nREADY=1\n"));
        assert!(!holds_ready(b"READY=0"));
        assert!(!holds_ready(b"STATUS=READY=1"));
    }
}
