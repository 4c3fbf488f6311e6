//! The lock that kubectl uses, too.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::error::Error;

/// Limit of the wait for another program that holds the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A file beside the kubeconfig that exists while a program writes it.
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
                // kubectl holds the lock for milliseconds, and its release has no notification.
                Err(_) => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("failed to remove the lock `{}`: {error}", self.path.display());
        }
    }
}
