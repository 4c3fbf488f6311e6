//! The settings of a bake besides the cluster's own: what is baked in, and what the image is built from. Owns their
//! declarations and values.

use std::path::PathBuf;
use std::time::Duration;

use kubake_contract::BAKE_HOOK_TIMEOUT;
use kubake_contract::hooks::Failure;

use super::duration::{parse_timeout, print_duration};
use super::setting::{Declaration, Key, Setting, Subcommand, print_path, store};
use super::switch::{parse_switch, print_switch};

impl Key {
    pub(crate) const IMAGES_DIR: Self = Self::new("imagesDir");
    pub(crate) const HOOKS_DIR: Self = Self::new("hooksDir");
    pub(crate) const HOOK_TIMEOUT: Self = Self::new("hookTimeout");
    pub(crate) const HOOK_FAILURE: Self = Self::new("hookFailure");
    pub(crate) const PACKED_LAYERS: Self = Self::new("packedLayers");
    pub(crate) const ADDONS: Self = Self::new("addons");
    pub(crate) const BASE_IMAGE: Self = Self::new("baseImage");
    pub(crate) const GO_PROXY: Self = Self::new("goProxy");
}

/// Inputs of a bake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BakeSettings {
    /// Archives and lists of images; none is the checkout's directory.
    pub(crate) images_dir: Option<PathBuf>,
    /// Hooks; none is the checkout's directory.
    pub(crate) hooks_dir: Option<PathBuf>,
    /// How long one hook of the bake may take.
    pub(crate) hook_timeout: Duration,
    /// What a hook's failure means for the bake.
    pub(crate) hook_failure: Failure,
    /// Whether images that are baked in keep their packed layers beside the unpacked ones.
    pub(crate) packed_layers: bool,
    /// Names of the add-ons to build and bake in: each once, in order.
    pub(crate) addons: Vec<String>,
    /// The appliance's base image: `auto`, `mmdebstrap` or a name.
    pub(crate) base_image: String,
    /// Go module proxy; none is Go's own.
    pub(crate) go_proxy: Option<String>,
    /// Names of the checkout's add-ons, which `addons` may name; none without a checkout.
    known_addons: Option<Vec<String>>,
}

impl BakeSettings {
    /// The defaults; `known_addons` are the names that `addons` may hold, where a checkout says so.
    pub(super) fn new(known_addons: Option<Vec<String>>) -> Self {
        Self {
            images_dir: None,
            hooks_dir: None,
            hook_timeout: BAKE_HOOK_TIMEOUT,
            hook_failure: Failure::Fail,
            packed_layers: false,
            addons: Vec::new(),
            base_image: "auto".to_owned(),
            go_proxy: None,
            known_addons,
        }
    }

    fn add_addon(&mut self, text: &str) -> Result<(), String> {
        let name = parse_addon(text, self.known_addons.as_deref())?;
        if let Err(place) = self.addons.binary_search(&name) {
            self.addons.insert(place, name);
        }
        Ok(())
    }
}

pub(super) const SETTINGS: &[Setting<BakeSettings>] = &[
    Setting::path(
        Declaration {
            key: Key::IMAGES_DIR,
            flag: "--images-dir",
            env: &["KUBAKE_IMAGES_DIR"],
            placeholder: "DIR",
            default: "images.d of the checkout",
            about: "archives (*.tar, *.tar.gz, *.tar.zst), OCI layouts and lists (*.txt) of images to bake in",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.images_dir, Ok(PathBuf::from(text))),
        |bake| print_path(bake.images_dir.as_ref()),
    ),
    Setting::path(
        Declaration {
            key: Key::HOOKS_DIR,
            flag: "--hooks-dir",
            env: &["KUBAKE_HOOKS_DIR"],
            placeholder: "DIR",
            default: "hooks of the checkout",
            about: "directory with hooks: programs that run during the bake and at every boot",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.hooks_dir, Ok(PathBuf::from(text))),
        |bake| print_path(bake.hooks_dir.as_ref()),
    ),
    Setting::one(
        Declaration {
            key: Key::HOOK_TIMEOUT,
            flag: "--hook-timeout",
            env: &["KUBAKE_HOOK_TIMEOUT"],
            placeholder: "DURATION",
            default: "30m",
            about: "how long each hook of the bake may take",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.hook_timeout, parse_timeout(text)),
        |bake| Some(print_duration(bake.hook_timeout)),
    ),
    Setting::one(
        Declaration {
            key: Key::HOOK_FAILURE,
            flag: "--hook-failure",
            env: &["KUBAKE_HOOK_FAILURE"],
            placeholder: "fail|report",
            default: "fail",
            about: "effect of a failed hook: `fail` ends the bake, `report` prints a warning and goes on",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.hook_failure, parse_failure(text)),
        |bake| Some(print_failure(bake.hook_failure).to_owned()),
    ),
    Setting::one(
        Declaration {
            key: Key::PACKED_LAYERS,
            flag: "--packed-layers",
            env: &["KUBAKE_PACKED_LAYERS"],
            placeholder: "on|off",
            default: "off",
            about: "`on` also keeps the packed layers of images.d, at twice the space, so that `docker build` in the node can start from them",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.packed_layers, parse_switch(text)),
        |bake| Some(print_switch(bake.packed_layers)),
    ),
    Setting::list(
        Declaration {
            key: Key::ADDONS,
            flag: "--addon",
            env: &["KUBAKE_ADDONS"],
            placeholder: "NAME",
            about: "add-ons to build and bake in beside the cluster: names of directories in builder/addons",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake| bake.addons.clear(),
        BakeSettings::add_addon,
        |bake| bake.addons.clone(),
    ),
    Setting::one(
        Declaration {
            key: Key::BASE_IMAGE,
            flag: "--base-image",
            env: &["KUBAKE_BASE_IMAGE"],
            placeholder: "IMAGE",
            default: "auto",
            about: "Debian image that the appliance is built on; `auto` pulls or makes one, `mmdebstrap` makes one",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.base_image, Ok(text.to_owned())),
        |bake| Some(bake.base_image.clone()),
    ),
    Setting::one(
        Declaration {
            key: Key::GO_PROXY,
            flag: "--go-proxy",
            env: &["KUBAKE_GO_PROXY", "GOPROXY"],
            placeholder: "URL",
            default: "Go's",
            about: "Go module proxy for building the components",
            subcommands: &[Subcommand::Bake],
            ..Declaration::BASE
        },
        |bake, text| store(&mut bake.go_proxy, Ok(text.to_owned())),
        |bake| bake.go_proxy.clone(),
    ),
];

fn parse_failure(text: &str) -> Result<Failure, String> {
    [Failure::Fail, Failure::Report]
        .into_iter()
        .find(|failure| print_failure(*failure) == text)
        .ok_or_else(|| format!("`{text}` is neither `fail` nor `report`"))
}

const fn print_failure(failure: Failure) -> &'static str {
    match failure {
        Failure::Fail => "fail",
        Failure::Report => "report",
    }
}

/// Checks the name of an add-on: it is a directory's name, and one of `known` where a checkout lists them.
fn parse_addon(text: &str, known: Option<&[String]>) -> Result<String, String> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || !text.bytes().all(is_inner) {
        return Err(format!("`{text}` is not the name of an add-on: lower-case letters, digits and `-`"));
    }
    match known {
        Some(known) if !known.iter().any(|name| name == text) => {
            Err(format!("`{text}` is not an add-on; choose from {}", known.join(", ")))
        }
        _ => Ok(text.to_owned()),
    }
}
