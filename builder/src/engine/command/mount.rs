//! Mounts of a container.

use std::ffi::OsString;
use std::path::PathBuf;

/// A file system in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A volume of its own, which goes with the container.
    Anonymous {
        /// Where.
        target: String,
    },
    /// A named volume.
    Volume {
        /// Its name.
        name: String,
        /// Where.
        target: String,
    },
    /// A file or directory of the engine's machine; it must exist.
    Bind {
        /// What.
        source: PathBuf,
        /// Where.
        target: String,
        /// Whether the container must not change it.
        read_only: bool,
    },
    /// Memory.
    Tmpfs {
        /// Where.
        target: String,
        /// Mount options such as `size=64m,exec`.
        options: Option<String>,
    },
}

impl Mount {
    pub(super) fn args(&self) -> [OsString; 2] {
        match self {
            Self::Anonymous { target } => ["--volume".into(), target.into()],
            Self::Volume { name, target } => ["--volume".into(), format!("{name}:{target}").into()],
            // `--mount` and not `--volume`: the latter creates a directory where the source is missing.
            Self::Bind { source, target, read_only } => {
                let mut value = OsString::from("type=bind,");
                value.push(csv_field(&format!("source={}", source.display())));
                value.push(",");
                value.push(csv_field(&format!("target={target}")));
                if *read_only {
                    value.push(",readonly");
                }
                ["--mount".into(), value]
            }
            Self::Tmpfs { target, options: None } => ["--tmpfs".into(), target.into()],
            Self::Tmpfs { target, options: Some(options) } => ["--tmpfs".into(), format!("{target}:{options}").into()],
        }
    }
}

/// The engine reads `--mount` as a line of CSV.
fn csv_field(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}
