//! Owns undoing: guards that remove containers, images and files when the work that needed them ends early. They
//! run while the stack unwinds, so also after Ctrl-C; they never decide whether the work succeeded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::Engine;
use super::command::{RemoveContainer, RemoveImage};

/// A name that nothing else has: prefix, process, time, count.
#[must_use]
pub fn unique_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() & 0xffff_ffff;
    format!("{prefix}-{}-{nanos:08x}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes a container with its anonymous volumes unless it is kept. To be armed before the call that creates the
/// container: that call can be interrupted after the engine has done its part.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once removes the container at once"]
pub struct ContainerGuard {
    engine: Engine,
    name: String,
    armed: bool,
}

impl ContainerGuard {
    /// Guards the container of this name, which need not exist yet.
    pub fn new(engine: &Engine, name: &str) -> Self {
        Self { engine: engine.clone(), name: name.to_owned(), armed: true }
    }

    /// The container's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the container where it is and returns its name.
    pub fn keep(mut self) -> String {
        self.armed = false;
        std::mem::take(&mut self.name)
    }

    /// Removes the container now, so that a failure is an error and not a warning.
    ///
    /// # Errors
    /// See [`super::RunError`]; the guard does not try again.
    pub fn remove(mut self) -> Result<(), super::RunError> {
        self.armed = false;
        remove_container(&self.engine, &self.name)
    }
}

impl Drop for ContainerGuard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        if let Err(error) = remove_container(&self.engine, &self.name) {
            tracing::warn!("container `{}` is left over: {error}; remove it with `docker rm -f -v {0}`", self.name);
        }
    }
}

fn remove_container(engine: &Engine, name: &str) -> Result<(), super::RunError> {
    let command = RemoveContainer { containers: vec![name.to_owned()] };
    match engine.for_cleanup().run(&command) {
        Err(error) if !error.is_not_found() => Err(error),
        _ => Ok(()),
    }
}

/// Removes an image unless it is kept.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once removes the image at once"]
pub struct ImageGuard {
    engine: Engine,
    name: String,
    armed: bool,
}

impl ImageGuard {
    /// Guards the image of this name, which need not exist yet.
    pub fn new(engine: &Engine, name: &str) -> Self {
        Self { engine: engine.clone(), name: name.to_owned(), armed: true }
    }

    /// The image's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the image where it is and returns its name.
    pub fn keep(mut self) -> String {
        self.armed = false;
        std::mem::take(&mut self.name)
    }
}

impl Drop for ImageGuard {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let command = RemoveImage { images: vec![self.name.clone()], force: true };
        match self.engine.for_cleanup().run(&command) {
            Err(error) if !error.is_not_found() => {
                tracing::warn!("image `{}` is left over: {error}; remove it with `docker rmi {0}`", self.name);
            }
            _ => {}
        }
    }
}

/// A file that gets its name only when it is complete. Until then it lies beside it as `.NAME.PID….partial`, and is
/// removed when this is dropped.
#[derive(Debug)]
pub struct TempFile {
    path: PathBuf,
    target: PathBuf,
    armed: bool,
}

impl TempFile {
    /// Names the unfinished file; creates nothing.
    #[must_use]
    pub fn beside(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!("{}.partial", unique_name(&format!(".{name}"))));
        Self { path, target: target.to_owned(), armed: true }
    }

    /// Where to write.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, replacing what had it before.
    ///
    /// # Errors
    /// When it cannot be renamed; then it is removed.
    pub fn persist(mut self) -> io::Result<PathBuf> {
        fs::rename(&self.path, &self.target)?;
        self.armed = false;
        Ok(std::mem::take(&mut self.target))
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("file `{}` is left over: {error}; remove it", self.path.display());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("image.tar");
        let unfinished = TempFile::beside(&target);
        fs::write(unfinished.path(), "half").unwrap();
        drop(unfinished);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let finished = TempFile::beside(&target);
        fs::write(finished.path(), "whole").unwrap();
        assert_eq!(finished.persist().unwrap(), target);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn names_differ() {
        assert_ne!(unique_name("a"), unique_name("a"));
    }
}
