//! Files for the build container that kubake adds: the request, the settings, directories.

use std::path::PathBuf;

use kubake_contract::{BakeRequest, paths};

use super::inputs::{Content, Packed};
use crate::settings::Settings;

pub(super) fn relative(path: &str) -> PathBuf {
    PathBuf::from(path.trim_start_matches('/'))
}

pub(super) fn directory(path: &str) -> Packed {
    Packed { target: relative(path), content: Content::Directory }
}

pub(super) fn request_file(request: &BakeRequest) -> Packed {
    let text = serde_json::to_string_pretty(request).unwrap_or_default();
    Packed { target: relative(paths::INBOX_REQUEST), content: Content::Text(text) }
}

pub(super) fn settings_file(settings: &Settings) -> Packed {
    // JSON is valid YAML: `kubake-init` reads both with one parser.
    let text = serde_json::to_string_pretty(&settings.cluster).unwrap_or_default();
    Packed { target: relative(paths::SETTINGS), content: Content::Text(text) }
}
