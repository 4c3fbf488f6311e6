//! The socket, with the owner and the mode that dockerd gives it, and the number of connections.

use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::{Group, chown};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::connection;

/// Connections at a time; further ones wait.
const MOST_CONNECTIONS: usize = 1024;
/// The group whose members may use Docker.
const GROUP: &str = "docker";

/// The socket cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot serve the Docker socket {}", path.display())]
pub(crate) struct GuardError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// A guard that listens and does not serve yet.
#[derive(Debug)]
pub(crate) struct Guard {
    listener: UnixListener,
    /// dockerd's own socket.
    dockerd: PathBuf,
}

impl Guard {
    /// Listens on `path` for clients of the dockerd that listens on `dockerd`, now or later.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn bind(path: &Path, dockerd: &Path) -> Result<Self, GuardError> {
        let failed = |source| GuardError { path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        // As dockerd does: where there is no such group, the socket is root's alone.
        if let Ok(Some(group)) = Group::from_name(GROUP) {
            chown(path, None, Some(group.gid)).map_err(|errno| failed(errno.into()))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
        Ok(Self { listener, dockerd: dockerd.to_owned() })
    }

    /// Serves until `shutdown`, which ends all connections.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) {
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let mut connections = JoinSet::new();
        let serve = async {
            loop {
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                tokio::select! {
                    accepted = self.listener.accept() => match accepted {
                        Ok((client, _)) => {
                            let dockerd = self.dockerd.clone();
                            connections.spawn(async move {
                                if let Err(error) = connection::serve(client, &dockerd).await {
                                    tracing::debug!(%error, "a client of the Docker socket broke off");
                                }
                                drop(place);
                            });
                        }
                        Err(error) => {
                            tracing::debug!(%error, "a client of the Docker socket could not be accepted");
                            // Without file descriptors, `accept` stays ready and would spin.
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                    },
                    Some(_) = connections.join_next() => {}
                }
            }
        };
        tokio::select! {
            () = serve => {}
            () = shutdown => {}
        }
        connections.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    async fn read_to(stream: &mut UnixStream, end: &str) -> String {
        let mut text = String::new();
        let mut buffer = [0; 1024];
        while !text.ends_with(end) {
            let length = tokio::time::timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
            assert!(length > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        text
    }

    #[tokio::test]
    async fn requests_pass_and_each_direction_ends_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (path, own) = (directory.path().join("docker.sock"), directory.path().join("dockerd.sock"));
        let guard = Guard::bind(&path, &own).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        tokio::spawn(guard.run(std::future::pending()));

        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"GET /_ping HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(read_to(&mut client, "\n").await.starts_with("HTTP/1.1 503 "), "dockerd is not up");

        let dockerd = UnixListener::bind(&own).unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (mut inner, _) = dockerd.accept().await.unwrap();
        let dangling = "POST /images/prune HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n";
        client.write_all(dangling.as_bytes()).await.unwrap();
        assert_eq!(read_to(&mut inner, "\r\n\r\n").await, dangling, "dangling images are dockerd's");
        inner.write_all(b"one").await.unwrap();
        assert_eq!(read_to(&mut client, "one").await, "one");
        client.shutdown().await.unwrap();
        assert_eq!(inner.read(&mut [0; 8]).await.unwrap(), 0);
        inner.write_all(b"two").await.unwrap();
        assert_eq!(read_to(&mut client, "two").await, "two");
        drop(inner);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn nothing_is_removed_when_it_is_not_known_what_is_needed() {
        let directory = tempfile::tempdir().unwrap();
        let (path, own) = (directory.path().join("docker.sock"), directory.path().join("dockerd.sock"));
        let _dockerd = UnixListener::bind(&own).unwrap();
        tokio::spawn(Guard::bind(&path, &own).unwrap().run(std::future::pending()));
        let mut client = UnixStream::connect(&path).await.unwrap();
        let filters = "%7B%22dangling%22%3A%7B%22false%22%3Atrue%7D%7D";
        let request = format!("POST /v1.45/images/prune?filters={filters} HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        // There is no containerd here.
        let answer = read_to(&mut client, "}\n").await;
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains("none is removed"), "{answer}");
    }
}
