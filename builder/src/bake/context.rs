//! What the steps of a bake know and what they leave to those after them.

use super::addons::Addons;
use super::built::Built;
use super::error::{Error, failed_to};
use super::inputs::{Hooks, Images};
use super::options::Options;
use crate::checkout::Checkout;
use crate::engine::{Engine, Image};
use crate::settings::Settings;

/// What steps know and what they leave to those after them.
#[derive(Debug)]
pub(super) struct Context<'a> {
    pub(super) engine: &'a Engine,
    pub(super) settings: &'a Settings,
    pub(super) options: Options,
    /// None where nothing is made from source.
    pub(super) checkout: Option<Checkout>,
    /// Where the user's images and hooks are unless a setting says so.
    pub(super) user_files: Checkout,
    /// Temporary files of this bake; gone with it.
    pub(super) directory: tempfile::TempDir,
    pub(super) images: Images,
    pub(super) hooks: Hooks,
    pub(super) addons: Addons,
    pub(super) base: String,
    pub(super) appliance: Option<Built>,
    pub(super) control_plane: Vec<Built>,
    /// Name of the image with the frozen store; known before it exists.
    pub(super) images_name: String,
    /// Hash of all that the image with the frozen store is made from.
    pub(super) images_inputs: String,
    pub(super) inputs: String,
    pub(super) baked: Option<String>,
    pub(super) cached: bool,
}

impl Context<'_> {
    /// The source to build from.
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
