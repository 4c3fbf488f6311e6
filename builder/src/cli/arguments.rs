//! What each subcommand takes on the command line. Parses only; the file of the same name in `commands` does the work.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::setting_flags::{All, Baking, Benching, Naming, SettingFlags};

/// Arguments of `kubake up`.
#[derive(Debug, Args)]
pub(crate) struct UpArgs {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Keep the container if it does not become ready
    #[arg(long)]
    pub(crate) retain: bool,
    /// Whether the cluster's context becomes the current one
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub(crate) set_context: bool,
    /// Give hooks a secret if an image is baked: a file's content or the variable NAME; no layer and no log holds it
    #[arg(long, value_name = "NAME[=FILE]")]
    pub(crate) hook_secret: Vec<String>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags<All>,
}

/// Arguments of `kubake down`.
#[derive(Debug, Args)]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) settings: SettingFlags<Naming>,
}

/// Arguments of `kubake bake`.
#[derive(Debug, Args)]
pub(crate) struct BakeArgs {
    /// Install and start a container engine if there is none (Debian and Ubuntu, as root)
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Bake even if an image with the same inputs exists
    #[arg(short, long)]
    pub(crate) force: bool,
    /// Keep the build container if the bake fails
    #[arg(long)]
    pub(crate) retain: bool,
    /// Give hooks a secret in the build container: a file's content or the variable NAME; no layer and no log holds it
    #[arg(long, value_name = "NAME[=FILE]")]
    pub(crate) hook_secret: Vec<String>,
    /// Start from a baked image and add to it, instead of baking from source; name the new image with `-t`
    #[arg(long, value_name = "BAKED")]
    pub(crate) from: Option<String>,
    /// Bake one image for each version of Kubernetes that can be built, tagged with its minor release and its version
    #[arg(long, conflicts_with_all = ["from", "image", "kubernetes-version"])]
    pub(crate) all_versions: bool,
    #[command(flatten)]
    pub(crate) settings: SettingFlags<Baking>,
}

/// Arguments of `kubake bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Baked images, measured in turn and compared with the first [default: the image that `up` runs]
    #[arg(value_name = "IMAGE")]
    pub(crate) images: Vec<String>,
    /// Number of runs of each image
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) runs: u32,
    /// How long to measure each cluster while it is idle; 0 skips it
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    pub(crate) idle: u64,
    /// Do not restart each container after its stop
    #[arg(long)]
    pub(crate) no_restart: bool,
    /// Afterwards boot this many clusters of the first image in parallel; 0 skips it
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub(crate) parallel: u32,
    /// Draw the median boot of each image into a file
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) plot: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingFlags<Benching>,
}

/// Arguments of `kubake doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {}

/// Arguments of `kubake settings`.
#[derive(Debug, Args)]
pub(crate) struct SettingsArgs {
    /// Print the reference of all settings instead, as a Markdown table
    #[arg(long, conflicts_with = "json")]
    pub(crate) reference: bool,
    #[command(flatten)]
    pub(crate) settings: SettingFlags<All>,
}

/// Arguments of `kubake completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Shell to print the script for
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// Arguments of `kubake engine`.
#[derive(Debug, Args)]
pub(crate) struct EngineArgs {
    #[command(subcommand)]
    pub(crate) action: EngineAction,
}

/// Actions of `kubake engine`.
#[derive(Debug, Subcommand)]
pub(crate) enum EngineAction {
    /// Install an engine from Debian's packages if there is none, and start it
    Install {
        /// Allow changes to this machine
        #[arg(short, long)]
        yes: bool,
    },
    /// Start the installed engine
    Start,
    /// Stop the engine that `start` started by hand
    Stop,
}
