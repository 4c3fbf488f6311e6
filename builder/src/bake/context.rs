//! State that the steps of a bake share.

use std::cell::OnceCell;
use std::path::PathBuf;

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
    /// Name of the image on which the Dockerfile builds.
    pub(super) base: String,
    pub(super) appliance: Option<Built>,
    pub(super) control_plane: Vec<Built>,
    /// Name of the image with the frozen store; known before the image exists.
    pub(super) images_name: String,
    /// Id of the image with the frozen store.
    pub(super) images_id: String,
    /// Digest of the source, if one can be computed.
    pub(super) source_digest: OnceCell<Option<String>>,
    /// Digest of all inputs of the image with the frozen store.
    pub(super) images_inputs: String,
    /// Digest of all inputs of the image that boots.
    pub(super) inputs: String,
    /// Id of the image that boots, new or up to date.
    pub(super) baked: Option<String>,
    /// Whether that image was up to date.
    pub(super) cached: bool,
}

impl<'a> Context<'a> {
    /// The state before the first step.
    ///
    /// # Errors
    /// [`Error::Temporary`] if the directory for temporary files cannot be created.
    pub(super) fn new(
        engine: &'a Engine,
        settings: &'a Settings,
        options: Options,
        checkout: Option<Checkout>,
        user_files: Checkout,
    ) -> Result<Self, Error> {
        // Not below /tmp, which is often in memory: the archives have gigabytes (FHS: /var/tmp is for large files).
        let below = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
        let directory = tempfile::Builder::new()
            .prefix("kubake-bake-")
            .tempdir_in(&below)
            .map_err(|source| Error::Temporary { path: below, source })?;
        Ok(Self {
            engine,
            settings,
            options,
            checkout,
            user_files,
            directory,
            images: Images::default(),
            hooks: Hooks::default(),
            addons: Addons::default(),
            base: String::new(),
            appliance: None,
            control_plane: Vec::new(),
            images_name: String::new(),
            images_id: String::new(),
            source_digest: OnceCell::new(),
            images_inputs: String::new(),
            inputs: String::new(),
            baked: None,
            cached: false,
        })
    }

    /// The checkout to build from; looked up if the bake began without one.
    pub(super) fn source(&self) -> Result<Checkout, Error> {
        match &self.checkout {
            Some(checkout) => Ok(checkout.clone()),
            None => Ok(Checkout::find()?),
        }
    }
}

/// The engine's image with this reference or id; `None` if it has none.
pub(super) fn find_image(engine: &Engine, reference: &str) -> Result<Option<Image>, Error> {
    engine.image(reference).map_err(failed_to(format!("look up the image `{reference}`")))
}
