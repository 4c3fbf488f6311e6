//! Images: inspect, list, tag, remove, import, save and pull.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::args::Args;
use super::engine_command::{EngineCommand, SLOW};
use super::filter::Filter;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageInspect {
    /// Names or ids.
    pub(crate) images: Vec<String>,
}

impl EngineCommand for ImageInspect {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "inspect"]).words(&self.images).0
    }
}

/// `image ls`, one full id a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ImageList {
    pub(crate) filters: Vec<Filter>,
}

impl EngineCommand for ImageList {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "ls", "--quiet", "--no-trunc"]).filters(&self.filters).0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    /// What gets a name.
    pub(crate) image: String,
    pub(crate) name: String,
}

impl EngineCommand for Tag {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["tag"]).word(&self.image).word(&self.name).0
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RemoveImage {
    /// Names or ids.
    pub(crate) images: Vec<String>,
    /// Also if it has other names, or a stopped container uses it.
    pub(crate) force: bool,
}

impl EngineCommand for RemoveImage {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["image", "rm"]).flag("--force", self.force).words(&self.images).0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(SLOW)
    }
}

/// `import`: an archive of a root file system becomes an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// The archive; `-` is stdin.
    pub(crate) archive: PathBuf,
    /// The image's name.
    pub(crate) name: String,
    /// `Dockerfile` instructions such as `CMD ["bash"]`.
    pub(crate) changes: Vec<String>,
    /// The history's remark.
    pub(crate) message: Option<String>,
}

impl EngineCommand for Import {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["import"])
            .each("--change", &self.changes)
            .option("--message", self.message.as_ref())
            .word(&self.archive)
            .word(&self.name)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        Some(Duration::from_secs(900))
    }
}

/// `save`: images into an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Save {
    pub(crate) output: PathBuf,
    pub(crate) images: Vec<String>,
    /// Podman takes all names after the first for further names of the first image unless it is asked not to.
    pub(crate) multi_image: bool,
}

impl EngineCommand for Save {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["save"])
            .flag("--multi-image-archive", self.multi_image)
            .word("--output")
            .word(&self.output)
            .words(&self.images)
            .0
    }

    fn timeout(&self) -> Option<Duration> {
        None
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pull {
    pub(crate) image: String,
    /// Bound; `None` waits for as long as the registry sends.
    pub(crate) timeout: Option<Duration>,
}

impl EngineCommand for Pull {
    fn args(&self) -> Vec<OsString> {
        Args::of(&["pull", "--quiet"]).word(&self.image).0
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}
