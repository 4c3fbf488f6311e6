//! Owns undoing: guards that remove containers, images and files when the work that needed them ends early. They
//! run while the stack unwinds, so also after Ctrl-C; they never decide whether the work succeeded.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kubake_contract::labels;

use super::cli::Engine;
use super::command::{ContainerList, ContainerSpec, Create, EngineCommand, Filter, RemoveContainer, RemoveImage};
use crate::process::RunError;

/// How long after the end of its client the engine may still be creating a container.
const REGISTRATION: Duration = Duration::from_secs(3);

/// A name that nothing else has: prefix, process, time, count.
#[must_use]
pub(crate) fn unique_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() & 0xffff_ffff;
    format!("{prefix}-{}-{nanos:08x}{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Removes a container with its anonymous volumes unless it is kept. Knows the container by its id, so that it never
/// removes another one that has the same name.
///
/// To be made before the command that creates the container, because that command can be interrupted after the engine
/// has done its part: until the id is known, the guard finds it in the file that the engine's CLI writes.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once removes the container at once"]
pub(crate) struct ContainerGuard {
    engine: Engine,
    name: String,
    id: OnceLock<String>,
    id_file: PathBuf,
    /// Value of a label of the container.
    mark: String,
    /// Whether the engine was asked to create the container and has not answered.
    is_unanswered: AtomicBool,
    armed: bool,
}

impl ContainerGuard {
    /// Guards the container that will be created with this name and with [`Self::id_file`]. Creates nothing.
    pub(crate) fn new(engine: &Engine, name: &str) -> Self {
        // In the directory for temporary files; the CLI refuses a file that exists.
        let id_file = std::env::temp_dir().join(unique_name("kubake-container-id"));
        Self {
            engine: engine.clone(),
            name: name.to_owned(),
            id: OnceLock::new(),
            id_file,
            mark: unique_name("creation"),
            is_unanswered: AtomicBool::new(false),
            armed: true,
        }
    }

    /// Creates a container and guards it. A name that another container has is an error, and removes nothing.
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn create(engine: &Engine, spec: ContainerSpec) -> Result<Self, RunError> {
        let name = spec.name.clone().unwrap_or_else(|| unique_name("kubake"));
        let guard = Self::new(engine, &name);
        guard.create_with(&Create(guard.marked(spec)))?;
        Ok(guard)
    }

    /// The specification with the guard's name and with what it finds the container by.
    #[must_use]
    pub(crate) fn marked(&self, mut spec: ContainerSpec) -> ContainerSpec {
        spec.labels.push((labels::CREATION.to_owned(), self.mark.clone()));
        ContainerSpec { name: Some(self.name.clone()), id_file: Some(self.id_file.clone()), ..spec }
    }

    /// Runs the command that creates the container, of a specification that was [`Self::marked`].
    ///
    /// # Errors
    /// See [`RunError`].
    pub(crate) fn create_with(&self, command: &impl EngineCommand) -> Result<(), RunError> {
        self.is_unanswered.store(true, Ordering::Relaxed);
        let answer = self.engine.run_captured(command);
        // A command that ended by itself brought the engine's answer; one that was stopped may have left the engine at work.
        let is_unanswered = matches!(&answer, Err(RunError::Interrupted { .. } | RunError::TimedOut { .. }));
        self.is_unanswered.store(is_unanswered, Ordering::Relaxed);
        let id = answer?;
        if !id.is_empty() {
            // A second call would mean a second container; the first one is what is guarded.
            let _ = self.id.set(id);
        }
        Ok(())
    }

    /// The container's id; its name until it is created.
    #[must_use]
    pub(crate) fn id(&self) -> &str {
        self.id.get().unwrap_or(&self.name)
    }

    /// The container's name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the container where it is and returns its name.
    pub(crate) fn keep(mut self) -> String {
        self.armed = false;
        std::mem::take(&mut self.name)
    }

    /// Removes the container now, so that a failure is an error and not a warning.
    ///
    /// # Errors
    /// See [`RunError`]; the guard does not try again.
    pub(crate) fn remove(mut self) -> Result<(), RunError> {
        self.armed = false;
        self.remove_created()
    }

    fn remove_created(&self) -> Result<(), RunError> {
        let written = || fs::read_to_string(&self.id_file).ok().map(|id| id.trim().to_owned());
        let known = self.id.get().cloned().or_else(written).filter(|id| !id.is_empty());
        let Some(id) = known.or_else(|| self.wait_for_registration()) else { return Ok(()) };
        match self.engine.for_cleanup().run(&RemoveContainer { containers: vec![id] }) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

impl ContainerGuard {
    /// The id of a container that the engine was still creating when its client was stopped.
    fn wait_for_registration(&self) -> Option<String> {
        if !self.is_unanswered.load(Ordering::Relaxed) {
            return None;
        }
        let filters = vec![Filter::LabelIs(labels::CREATION.to_owned(), self.mark.clone())];
        let list = ContainerList { all: true, filters };
        let engine = self.engine.for_cleanup();
        let deadline = Instant::now() + REGISTRATION;
        loop {
            let found = engine.run_captured(&list).unwrap_or_default();
            if let Some(id) = found.lines().next() {
                return Some(id.trim().to_owned());
            }
            if Instant::now() >= deadline {
                return None;
            }
            // The engine gives no event to a client that it has lost.
            std::thread::sleep(Duration::from_millis(250));
        }
    }
}

impl Drop for ContainerGuard {
    fn drop(&mut self) {
        if self.armed {
            if let Err(error) = self.remove_created() {
                let engine = self.engine.program().display();
                tracing::warn!(
                    "failed to remove the container `{}`: {error}; remove it with `{engine} rm -f -v {0}`",
                    self.name
                );
            }
        }
        // Absent where the container was never created.
        let _ = fs::remove_file(&self.id_file);
    }
}

/// Removes an image unless it is kept.
#[derive(Debug)]
#[must_use = "a guard that is dropped at once removes the image at once"]
pub(crate) struct ImageGuard {
    engine: Engine,
    name: String,
    armed: bool,
}

impl ImageGuard {
    /// Guards the image of this name, which need not exist yet.
    pub(crate) fn new(engine: &Engine, name: &str) -> Self {
        Self { engine: engine.clone(), name: name.to_owned(), armed: true }
    }

    /// The image's name.
    #[must_use]
    pub(crate) fn name(&self) -> &str {
        &self.name
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
pub(crate) struct TempFile {
    path: PathBuf,
    target: PathBuf,
    armed: bool,
}

impl TempFile {
    /// Names the unfinished file; creates nothing.
    #[must_use]
    pub(crate) fn beside(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!("{}.partial", unique_name(&format!(".{name}"))));
        Self { path, target: target.to_owned(), armed: true }
    }

    /// Where to write.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file its name, replacing what had it before.
    ///
    /// # Errors
    /// When it cannot be renamed; then it is removed.
    pub(crate) fn persist(mut self) -> io::Result<PathBuf> {
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
