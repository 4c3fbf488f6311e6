//! The receiving end of `sd_notify(3)`: a datagram socket on which a daemon says `READY=1`. containerd, dockerd and
//! kubelet all do. Understands nothing but readiness.

use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use super::ServiceError;

/// One daemon's socket; removed with the value.
#[derive(Debug)]
pub(super) struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    pub(super) fn bind(path: &Path) -> Result<Self, ServiceError> {
        // A socket left over by an earlier life would make bind fail; nobody listens on it.
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path)
            .map_err(|source| ServiceError::Notify { path: path.display().to_string(), source })?;
        Ok(Self { socket, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends when the daemon says that it is ready (true), or the socket broke (false).
    pub(super) async fn ready(&self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.recv(&mut buffer).await {
                Ok(length) if says_ready(&buffer[..length]) => return true,
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

/// `sd_notify(3)`: newline-separated assignments.
fn says_ready(datagram: &[u8]) -> bool {
    datagram.split(|byte| *byte == b'\n').any(|line| line == b"READY=1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_assignment_counts() {
        assert!(says_ready(b"READY=1"));
        assert!(says_ready(b"STATUS=fine\nREADY=1\n"));
        assert!(!says_ready(b"READY=0"));
        assert!(!says_ready(b"STATUS=READY=1"));
    }
}
