//! Chooses between a bake from source and one on top of a baked image.

use super::error::Error;
use super::options::{Baked, Options};
use super::{custom, from_source, lock};
use crate::engine::Engine;
use crate::printer::Printer;
use crate::settings::Settings;

/// Bakes from source, or on top of the baked image that the options name.
///
/// # Errors
/// See [`Error`].
pub(crate) fn bake(engine: &Engine, settings: &Settings, options: Options, printer: &Printer) -> Result<Baked, Error> {
    let _lock = lock::take(engine, &settings.image, printer)?;
    match options.from.clone() {
        None => from_source::bake(engine, settings, options, printer),
        Some(from) => custom::bake(engine, settings, &from, options, printer),
    }
}
