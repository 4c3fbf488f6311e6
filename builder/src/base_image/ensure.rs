//! Makes sure that the engine has a base image: uses the one it has, pulls one, or creates one.

use std::time::Duration;

use super::bootstrap::bootstrap;
use super::choice::BaseImage;
use super::error::BaseImageError;
use super::names::{MADE, PUBLISHED};
use crate::advice::Advice;
use crate::engine::Engine;
use crate::engine::command::Pull;

/// A registry serves the image (30 MB) within seconds; an unreachable one must not cost minutes.
const PULL_TIMEOUT: Duration = Duration::from_secs(90);

/// Makes sure that the engine has a base image and returns its name. `report` receives progress messages.
///
/// # Errors
/// See [`BaseImageError`].
pub(crate) fn ensure(
    engine: &Engine,
    choice: &BaseImage,
    mut report: impl FnMut(&str),
) -> Result<String, BaseImageError> {
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
        BaseImage::Mmdebstrap => bootstrap(engine, MADE, "a pull was not tried", report),
        BaseImage::Auto => {
            // The created image comes second, but before another pull: it exists because no registry answered.
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
                    report(&format!("no registry serves {PUBLISHED} ({reason}); creating {MADE} from Debian packages"));
                    bootstrap(engine, MADE, &reason, report)
                }
            }
        }
    }
}

/// The base image for the ignored tests (`--include-ignored`). The first of them creates it if necessary.
#[cfg(test)]
pub(crate) fn for_tests(engine: &Engine) -> String {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    ensure(engine, &BaseImage::Auto, |line| tracing::info!("{line}")).unwrap()
}
