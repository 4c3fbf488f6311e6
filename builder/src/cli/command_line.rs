//! The command line as a whole: the options that every subcommand has, and the list of subcommands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::arguments::{BakeArgs, BenchArgs, CompletionsArgs, DoctorArgs, DownArgs, EngineArgs, SettingsArgs, UpArgs};
use crate::printer::{Printer, Verbosity};
use crate::settings::FILE_VARIABLE;

/// Bakes a kubeadm cluster into one container image and runs it.
#[derive(Debug, Parser)]
#[command(name = "kubake", version, max_term_width = 120, disable_help_subcommand = true, propagate_version = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every subcommand has.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Show every command that is run, with its output
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Show warnings and errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Print the result as JSON on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Settings file [default: kubake.yaml, if it exists]
    #[arg(long, global = true, value_name = "FILE", env = FILE_VARIABLE, hide_env_values = true)]
    pub(crate) settings: Option<PathBuf>,
}

impl Global {
    /// Builds the printer for these options.
    #[must_use]
    pub(crate) fn printer(&self) -> Printer {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Printer::new(verbosity, self.json)
    }
}

/// The subcommands; their first lines are the help text.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring a cluster up: bake its image if there is none, run it, wait until it is ready, add its context
    Up(UpArgs),
    /// Remove a cluster, its data and its context; keep its image
    Down(DownArgs),
    /// Bake the image of a cluster from source
    Bake(BakeArgs),
    /// Measure the time, processor, memory and disk that a boot costs; compare several images
    Bench(BenchArgs),
    /// Check this machine for what would keep a cluster from working, with a remedy for each finding
    Doctor(DoctorArgs),
    /// Print the settings in effect, each with its source
    Settings(SettingsArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Install, start or stop a container engine (for CI machines)
    #[command(hide = true)]
    Engine(EngineArgs),
}
