//! State that the steps of a bake share.

use super::addons::Addons;
use super::built::Built;
use super::error::{Error, failed_to};
use super::inputs::{Hooks, Images};
use super::options::Options;
use crate::checkout::Checkout;
use crate::engine::{Engine, Image};
use crate::settings::Settings;

/// What the steps know, and the results that they leave for later steps.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) settings: &'a Settings,
    pub(super) options: Options,
    /// `None` if nothing is built from source.
    pub(super) checkout: Option<Checkout>,
    /// Holds `images.d` and `hooks` unless a setting names other directories.
    pub(super) user_files: Checkout,
    /// Temporary files, removed at the end of the bake.
    pub(super) directory: tempfile::TempDir,
    pub(super) images: Images,
    pub(super) hooks: Hooks,
    pub(super) addons: Addons,
    pub(super) base: String,
    pub(super) appliance: Option<Built>,
    pub(super) control_plane: Vec<Built>,
    /// Name of the image with the frozen store; known before the image exists.
    pub(super) images_name: String,
    /// Digest of all inputs of the image with the frozen store.
    pub(super) images_inputs: String,
    pub(super) inputs: String,
    pub(super) baked: Option<String>,
    pub(super) cached: bool,
}

impl Context<'_> {
    /// The checkout to build from; looked up if the bake began without one.
    pub(super) fn source(&self) -> Result<Checkout, Error> {
        match &self.checkout {
            Some(checkout) => Ok(checkout.clone()),
            None => Ok(Checkout::find()?),
        }
    }
}

pub(super) fn find_image(engine: &Engine, reference: &str) -> Result<Option<Image>, Error> {
    engine.image(reference).map_err(failed_to(format!("look up the image `{reference}`")))
}
