//! What each subcommand takes on the command line. Parses only; the file of the same name in `commands` does the work.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::setting_flags::{All, Baking, Benching, Naming, SettingFlags};

/// Arguments of `kubake up`.
#[derive(Debug, Args)]
pub struct UpArgs {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub yes: bool,
    /// Keep a container that does not become ready
    #[arg(long)]
    pub retain: bool,
    /// Whether the cluster's context becomes the current one
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub set_context: bool,
    /// Hand a value to the hooks if an image is baked, from a file or from the variable NAME; it is in no layer and no log
    #[arg(long, value_name = "NAME[=FILE]")]
    pub hook_secret: Vec<String>,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<All>,
}

/// Arguments of `kubake down`.
#[derive(Debug, Args)]
pub struct DownArgs {
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Naming>,
}

/// Arguments of `kubake bake`.
#[derive(Debug, Args)]
pub struct BakeArgs {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub yes: bool,
    /// Bake although an image with the same inputs exists
    #[arg(short, long)]
    pub force: bool,
    /// Keep a build container that failed
    #[arg(long)]
    pub retain: bool,
    /// Hand a value to the hooks in the build container, from a file or from the variable NAME; it is in no layer and no log
    #[arg(long, value_name = "NAME[=FILE]")]
    pub hook_secret: Vec<String>,
    /// Start from a baked image and add to it, instead of making one from source; give the new one a name with `-t`
    #[arg(long, value_name = "BAKED")]
    pub from: Option<String>,
    /// Bake every version of Kubernetes that can be built, an image each; it goes by its minor release and by its version
    #[arg(long, conflicts_with_all = ["from", "image", "kubernetes-version"])]
    pub all_versions: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Baking>,
}

/// Arguments of `kubake bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Baked images, measured in turn and compared with the first [default: the one that `up` runs]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// How often each image is run
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub runs: u32,
    /// How long each cluster is watched while it has nothing to do; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub idle: u64,
    /// Do not start each container once more after its stop
    #[arg(long)]
    pub no_restart: bool,
    /// Afterwards boot this many clusters of the first image at once; 0 skips it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub parallel: u32,
    /// Draw the median boot of each image into this file
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<Benching>,
}

/// Arguments of `kubake doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {}

/// Arguments of `kubake settings`.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Print what can be set instead, as a Markdown table
    #[arg(long, conflicts_with = "json")]
    pub reference: bool,
    /// The settings.
    #[command(flatten)]
    pub settings: SettingFlags<All>,
}

/// Arguments of `kubake completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `kubake engine`.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: EngineAction,
}

/// What to do with the engine.
#[derive(Debug, Subcommand)]
pub enum EngineAction {
    /// Install an engine from Debian's packages if there is none, and start it
    Install {
        /// Change this machine
        #[arg(short, long)]
        yes: bool,
    },
    /// Start the installed engine
    Start,
    /// Stop the engine that `start` started by hand
    Stop,
}
