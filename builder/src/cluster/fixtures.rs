//! Settings for the tests of this room.

use crate::settings::{Settings, Sources};

pub(super) fn settings(env: &[(&str, &str)]) -> Settings {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings::resolve(&Sources { env, ..Default::default() }).unwrap()
}
