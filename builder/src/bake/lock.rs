//! One bake at a time for each engine and image on this machine: a second one waits, and then finds the work done. Bakes from
//! other machines are kept apart by ids.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;

use super::error::Error;
use crate::digest;
use crate::engine::Engine;
use crate::printer::Printer;
use crate::process::Cancel;

/// Interval between attempts: the end of another bake has no notification that Ctrl-C could interrupt.
const LOOK: Duration = Duration::from_millis(500);
/// Longer than any bake takes.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// Held during a bake; the kernel releases it with the process.
#[derive(Debug)]
pub(super) struct BakeLock {
    _file: Option<Flock<fs::File>>,
}

/// Takes the lock of this engine and image.
pub(super) fn take(engine: &Engine, image: &str, printer: &Printer) -> Result<BakeLock, Error> {
    let parts = [&*engine.program().to_string_lossy(), &engine.facts().endpoint, image];
    let path = directory().join(format!("bake-{}.lock", digest::short(&digest::of_parts(&parts))));
    let file = match open(&path) {
        Ok(file) => file,
        Err(error) => {
            tracing::info!("bakes of `{image}` are not kept apart: {}: {error}", path.display());
            return Ok(BakeLock { _file: None });
        }
    };
    let mut phase = None;
    let wait = || {
        phase.get_or_insert_with(|| printer.phase(format!("wait for another bake of {image}")));
    };
    acquire(file, engine.runner().cancel(), PATIENCE, wait).map_err(|failure| match failure {
        Failure::Interrupted => Error::Interrupted,
        Failure::Held => Error::Locked { image: image.to_owned(), path },
    })
}

/// Why there is no lock.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Interrupted,
    Held,
}

/// Waits until no other process holds the lock of the file; `on_wait` is called before each pause.
fn acquire(
    mut file: fs::File,
    cancel: &Cancel,
    patience: Duration,
    mut on_wait: impl FnMut(),
) -> Result<BakeLock, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(BakeLock { _file: Some(lock) }),
            Err((unlocked, Errno::EWOULDBLOCK | Errno::EINTR)) => file = unlocked,
            Err((_, errno)) => {
                tracing::info!("bakes of one image are not kept apart: {errno}");
                return Ok(BakeLock { _file: None });
            }
        }
        on_wait();
        if !cancel.sleep(LOOK) {
            return Err(Failure::Interrupted);
        }
        if Instant::now() >= deadline {
            return Err(Failure::Held);
        }
    }
}

/// A directory of this user alone.
fn directory() -> PathBuf {
    if Uid::effective().is_root() {
        return PathBuf::from("/run/kubake");
    }
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    match (of("XDG_RUNTIME_DIR"), of("HOME")) {
        (Some(runtime), _) => runtime.join("kubake"),
        (None, Some(home)) => home.join(".cache/kubake"),
        (None, None) => std::env::temp_dir().join(format!("kubake-{}", Uid::effective())),
    }
}

fn open(path: &Path) -> io::Result<fs::File> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    // The file stays: removing it would let two bakes hold locks of two files with one name.
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_bake_waits_for_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("below/bake.lock");
        let (cancel, mut waits) = (Cancel::new(), 0);
        let first = acquire(open(&path).unwrap(), &cancel, PATIENCE, || unreachable!("nothing holds it")).unwrap();
        let held = acquire(open(&path).unwrap(), &cancel, Duration::ZERO, || waits += 1).unwrap_err();
        assert_eq!((held, waits), (Failure::Held, 1));
        drop(first);
        let second = acquire(open(&path).unwrap(), &cancel, PATIENCE, || ()).unwrap();
        cancel.cancel();
        let interrupted = acquire(open(&path).unwrap(), &cancel, PATIENCE, || ()).unwrap_err();
        assert_eq!(interrupted, Failure::Interrupted);
        drop(second);
    }
}
