//! Sees to it that the engine has a base image: takes the one it has, pulls one, or has one made.

use std::time::Duration;

use super::bootstrap::make;
use super::choice::BaseImage;
use super::error::BaseImageError;
use super::names::{MADE, PUBLISHED};
use crate::advice::Advice;
use crate::engine::Engine;
use crate::engine::command::Pull;

/// A registry that serves the image does so in seconds (30 MB); one that is not reachable must not cost minutes.
const PULL_TIMEOUT: Duration = Duration::from_secs(90);

/// Sees to it that the engine has a base image and returns its name. `report` gets a line now and then.
///
/// # Errors
/// See [`BaseImageError`].
pub fn ensure(engine: &Engine, choice: &BaseImage, mut report: impl FnMut(&str)) -> Result<String, BaseImageError> {
    let present = |image: &str| {
        let found = engine.image(image).map_err(|source| BaseImageError::Engine { image: image.to_owned(), source })?;
        Ok::<_, BaseImageError>(found.is_some())
    };
    let pull = |image: &str| engine.run(&Pull { image: image.to_owned(), timeout: Some(PULL_TIMEOUT) });
    match choice {
        BaseImage::Named(image) => {
            if !present(image)? {
                report(&format!("pulling {image}"));
                let unbounded = Pull { image: image.clone(), timeout: None };
                engine
                    .run(&unbounded)
                    .map_err(|source| BaseImageError::NotAvailable { image: image.clone(), source })?;
            }
            Ok(image.clone())
        }
        BaseImage::Mmdebstrap if present(MADE)? => Ok(MADE.to_owned()),
        BaseImage::Mmdebstrap => make(engine, MADE, "it was not tried", report),
        BaseImage::Auto => {
            // The one we made comes second, but before another try to pull: where it is, no registry answered.
            for image in [PUBLISHED, MADE] {
                if present(image)? {
                    return Ok(image.to_owned());
                }
            }
            report(&format!("pulling {PUBLISHED}"));
            match pull(PUBLISHED) {
                Ok(()) => Ok(PUBLISHED.to_owned()),
                Err(source) if source.is_interrupted() => {
                    Err(BaseImageError::Engine { image: PUBLISHED.to_owned(), source })
                }
                Err(error) => {
                    let reason = match error.stderr().lines().last() {
                        Some(line) => line.to_owned(),
                        None => error.to_string(),
                    };
                    report(&format!("no registry serves {PUBLISHED} ({reason}); making {MADE} from Debian's packages"));
                    make(engine, MADE, &reason, report)
                }
            }
        }
    }
}

/// The base image for tests that were asked for (`--include-ignored`): made if need be, by one of them.
#[cfg(test)]
pub(crate) fn for_tests(engine: &Engine) -> String {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure(engine, &BaseImage::Auto, |line| tracing::info!("{line}")).unwrap()
}
