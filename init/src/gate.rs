//! Holds connections to the API server's port until the API server listens there itself: kubelet and everybody else
//! who comes too early waits for it instead of being refused, backing off and coming back seconds too late. Owns one
//! listening socket for the first seconds of a boot; reads and writes nothing that is sent over it.
//!
//! How: the socket shares the port (`SO_REUSEPORT`), as the API server is told to (`--permit-port-sharing`), and accepts
//! nothing. Once the API server listens it is closed, and the kernel hands the connections that wait on it over
//! (`net.ipv4.tcp_migrate_req`, Linux 5.14, Documentation/networking/ip-sysctl.rst). Where the kernel does not know
//! that, or the baked API server would not share its port, nothing is held and everything works as without it.

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::sleep;

/// How many connections may wait.
const BACKLOG: u32 = 256;
/// Between two looks at the kernel's list of listeners, for which it has no event.
const LOOK: Duration = Duration::from_millis(20);
/// `TCP_LISTEN` (`include/net/tcp_states.h`), as /proc shows it.
const LISTEN: &str = "0A";
/// The flag without which the API server would find the port taken and end.
const SHARES: &str = "--permit-port-sharing=true";

/// Why nothing is held. The boot goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The API server's manifest cannot be read.
    #[error("cannot read {path}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was baked without the flag.
    #[error("{path} does not say {SHARES}")]
    NotShared {
        /// The file.
        path: PathBuf,
    },
    /// The kernel would not hand connections over.
    #[error("the kernel's {path} cannot be set")]
    Migration {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The socket cannot be had.
    #[error("cannot listen on port {port}")]
    Listen {
        /// The port.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The gate, closed until [`Gate::open`] returns.
#[derive(Debug)]
pub struct Gate {
    listener: TcpListener,
    port: u16,
    migration: Migration,
    /// Where the kernel shows listeners.
    tables: PathBuf,
}

impl Gate {
    /// Begins to hold connections to `port`, if the API server whose manifest this is will share it.
    ///
    /// # Errors
    /// When nothing can be held; nothing was changed then.
    pub fn close_at(root: &Path, manifest: &Path, port: u16) -> Result<Self, GateError> {
        let text =
            fs::read_to_string(manifest).map_err(|source| GateError::Manifest { path: manifest.to_owned(), source })?;
        if !text.contains(SHARES) {
            return Err(GateError::NotShared { path: manifest.to_owned() });
        }
        let migration = Migration::enable(&root.join("proc/sys/net/ipv4/tcp_migrate_req"))?;
        let listener = listen(port).map_err(|source| GateError::Listen { port, source })?;
        Ok(Self { listener, port, migration, tables: root.join("proc/net") })
    }

    /// Waits until somebody else listens as well, and leaves everything to them.
    pub async fn open(self) {
        while !self.has_company() {
            sleep(LOOK).await;
        }
        // In this order: what waits is handed over while the setting is still there.
        drop(self.listener);
        drop(self.migration);
        tracing::debug!("port {} is the API server's", self.port);
    }

    fn has_company(&self) -> bool {
        let count = |table: &str| {
            let text = fs::read_to_string(self.tables.join(table)).unwrap_or_default();
            listeners(&text, self.port)
        };
        count("tcp6") + count("tcp") > 1
    }
}

/// As Go listens on all addresses: one socket for both families. Only sockets alike share a port.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v6()?;
    socket.set_reuseport(true)?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))?;
    socket.listen(BACKLOG)
}

/// How many sockets listen on a port, by /proc/net/tcp or tcp6 (Documentation/networking/proc_net_tcp.rst).
fn listeners(table: &str, port: u16) -> usize {
    let port = format!(":{port:04X}");
    let is_one = |line: &&str| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, _remote, state) = (fields.next(), fields.next(), fields.next());
        state == Some(LISTEN) && local.is_some_and(|local| local.ends_with(&port))
    };
    table.lines().skip(1).filter(is_one).count()
}

/// The kernel's setting while the gate is closed; with `--network host` it is the host's.
#[derive(Debug)]
struct Migration {
    path: PathBuf,
    before: String,
}

impl Migration {
    fn enable(path: &Path) -> Result<Self, GateError> {
        let failed = |source| GateError::Migration { path: path.to_owned(), source };
        let before = fs::read_to_string(path).map_err(failed)?;
        fs::write(path, "1").map_err(failed)?;
        Ok(Self { path: path.to_owned(), before })
    }
}

impl Drop for Migration {
    fn drop(&mut self) {
        // It does no harm where it stays.
        if let Err(error) = fs::write(&self.path, &self.before) {
            tracing::debug!("{} stays as it is: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address                         remote_address                        st tx_queue\n   \
        0: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        1: 00000000000000000000000000000000:20FB 00000000000000000000000000000000:0000 0A 00000000:00000000\n   \
        2: 0000000000000000FFFF0000016310AC:20FB 0000000000000000FFFF0000016310AC:A1B2 01 00000000:00000000\n   \
        3: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000\n";

    #[test]
    fn only_listeners_on_the_port_count() {
        assert_eq!(listeners(TABLE, 8443), 2);
        assert_eq!(listeners(TABLE, 80), 1);
        assert_eq!(listeners(TABLE, 443), 0);
        assert_eq!(listeners("", 8443), 0);
    }

    #[test]
    fn an_api_server_that_does_not_share_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let manifest = root.path().join("kube-apiserver.yaml");
        assert!(matches!(Gate::close_at(root.path(), &manifest, 1), Err(GateError::Manifest { .. })));
        fs::write(&manifest, "- --secure-port=8443\n").unwrap();
        assert!(matches!(Gate::close_at(root.path(), &manifest, 1), Err(GateError::NotShared { .. })));
        fs::write(&manifest, "- --permit-port-sharing=true\n").unwrap();
        let error = Gate::close_at(root.path(), &manifest, 1).unwrap_err();
        assert!(matches!(error, GateError::Migration { .. }), "an old kernel: {error}");
    }

    #[tokio::test]
    #[ignore = "needs root, and Linux 5.14"]
    async fn who_came_early_is_served_by_who_comes_late() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let directory = tempfile::tempdir().unwrap();
        let manifest = directory.path().join("kube-apiserver.yaml");
        fs::write(&manifest, "- --permit-port-sharing=true\n").unwrap();
        // Free a moment ago; nobody else on a test machine takes it at once.
        let port = TcpListener::bind("[::]:0").await.unwrap().local_addr().unwrap().port();
        let gate = Gate::close_at(Path::new("/"), &manifest, port).unwrap();
        let mut early = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        early.write_all(b"early").await.unwrap();
        let opened = tokio::spawn(gate.open());
        let server = listen(port).unwrap();
        opened.await.unwrap();
        let (mut served, _) = server.accept().await.unwrap();
        let mut heard = [0; 5];
        served.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"early");
    }
}
