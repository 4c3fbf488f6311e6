//! The lock that kubectl takes, too.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::Error;

/// How long to wait for another program (kubectl takes the same lock) to finish writing.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// kubectl's lock: a file beside the kubeconfig that exists while somebody writes.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    pub(super) fn take(kubeconfig: &Path) -> Result<Self, Error> {
        let mut name = kubeconfig.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, _file: file }),
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::Write { path, source: error });
                }
                Err(_) if Instant::now() >= deadline => return Err(Error::Locked { path }),
                // kubectl holds it for milliseconds and tells nobody when it lets go.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("remove the lock `{}`: {error}", self.path.display());
        }
    }
}
