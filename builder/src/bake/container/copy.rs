//! Copies an archive of images into a build container.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::super::error::{Error, failed_to};
use super::super::inputs::{self, Archive};
use crate::engine::Engine;
use crate::engine::command::CopyInto;
use crate::printer::Phase;
use crate::process::Input;

/// Interval of progress messages.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Copies an archive as plain tar, decompressed on the way, and shows the progress.
pub(super) fn copy_archive(
    engine: &Engine,
    phase: &Phase,
    archive: &Archive,
    name: &str,
    copy: &CopyInto,
) -> Result<(), Error> {
    let copied = Arc::new(AtomicU64::new(0));
    let stream = inputs::tar_stream(archive, name, Arc::clone(&copied))
        .map_err(|source| inputs::Error::Pack { path: archive.path.clone(), source })?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let shown = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                phase.message(progress(&archive.name, copied.load(Ordering::Relaxed), archive.size));
                thread::park_timeout(PROGRESS_INTERVAL);
            }
        });
        let outcome = engine.run_with_input(copy, Input::Reader(stream));
        is_done.store(true, Ordering::Relaxed);
        shown.thread().unpark();
        outcome.map_err(failed_to(format!("copy `{}` into the build container", archive.path.display())))
    })
}

/// For example `copying a.tar: 120 of 1800 MB (6 %)`.
fn progress(name: &str, copied: u64, size: u64) -> String {
    // The stream is a little longer than the archive: it has a header and padding.
    let copied = copied.min(size);
    let percent = copied.saturating_mul(100).checked_div(size).unwrap_or(100);
    format!("copying {name}: {} of {} MB ({percent} %)", copied / 1_000_000, size.div_ceil(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_in_megabytes() {
        assert_eq!(progress("a.tar", 120_500_000, 1_800_000_000), "copying a.tar: 120 of 1800 MB (6 %)");
        assert_eq!(progress("a.tar", 3000, 2000), "copying a.tar: 0 of 1 MB (100 %)");
    }
}
