//! The command line as a whole: the options that every subcommand has, and the list of subcommands.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::arguments::{BakeArgs, BenchArgs, CompletionsArgs, DoctorArgs, DownArgs, EngineArgs, SettingsArgs, UpArgs};
use crate::printer::{Printer, Verbosity};
use crate::settings::FILE_VARIABLE;

/// Bakes a kubeadm cluster into one container image and runs it.
#[derive(Debug, Parser)]
#[command(name = "kubake", version, max_term_width = 120, disable_help_subcommand = true, propagate_version = false)]
pub struct Cli {
    /// Options that every subcommand has.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every subcommand has.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Show every command that is run, and what it says
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Show warnings and errors only
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print the result as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Settings file [default: kubake.yaml, where it exists]
    #[arg(long, global = true, value_name = "FILE", env = FILE_VARIABLE, hide_env_values = true)]
    pub settings: Option<PathBuf>,
}

impl Global {
    /// The printer that they ask for.
    #[must_use]
    pub fn printer(&self) -> Printer {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        Printer::new(verbosity, self.json)
    }
}

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring a cluster up: bake its image if there is none, run it, wait until it is ready, add its context
    Up(UpArgs),
    /// Remove a cluster with its data, and its context; the image stays
    Down(DownArgs),
    /// Bake the image of a cluster from source
    Bake(BakeArgs),
    /// Measure what a boot costs: time, processor, memory, disk; of several images side by side
    Bench(BenchArgs),
    /// Look at this machine: what would keep a cluster from working, and what to do about it
    Doctor(DoctorArgs),
    /// Print the settings in effect and where each comes from
    Settings(SettingsArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Install, start or stop a container engine (for CI machines)
    #[command(hide = true)]
    Engine(EngineArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::{All, Subset};
    use crate::settings::{Key, Origin, TABLE, Value};

    fn help(path: &[&str]) -> String {
        let mut command = Cli::command().term_width(120);
        command.build();
        let mut command = &mut command;
        for name in path {
            command = command.find_subcommand_mut(name).unwrap();
        }
        command.render_long_help().to_string()
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
        assert_eq!(All::KEYS.len(), TABLE.len());
    }

    #[test]
    fn help_texts() {
        for path in [&[][..], &["up"], &["down"], &["bake"], &["bench"], &["settings"], &["engine"]] {
            insta::assert_snapshot!(["help", path.first().copied().unwrap_or("kubake")].join("_"), help(path));
        }
    }

    #[test]
    fn flags_are_entries_with_their_origin() {
        let cli =
            Cli::try_parse_from(["kubake", "up", "--name", "b", "-p", "1:2", "-p", "3:4", "--api-port=auto"]).unwrap();
        let Command::Up(args) = cli.command else { panic!("not up") };
        assert_eq!(args.settings.entries.len(), 3);
        assert_eq!(args.settings.entries[0].origin, Origin::Flag("--name"));
        assert_eq!(args.settings.entries[2].value, Value::Many(vec!["1:2".to_owned(), "3:4".to_owned()]));
        let cli = Cli::try_parse_from(["kubake", "bake", "-t", "x:1"]).unwrap();
        let Command::Bake(args) = cli.command else { panic!("not bake") };
        assert_eq!(args.settings.entries[0].key, Key::Image);
    }
}
