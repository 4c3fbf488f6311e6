//! The command line: what can be typed, and which setting a flag is. Owns parsing only; each subcommand's file in
//! `commands` says what it does.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::printer::{Printer, Verbosity};
use crate::settings::{Entry, FILE_VARIABLE, Key, Origin, Shape, TABLE, Value};

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
    Up(commands::up::Args),
    /// Remove a cluster with its data, and its context; the image stays
    Down(commands::down::Args),
    /// Bake the image of a cluster from source
    Bake(commands::bake::Args),
    /// Measure what a boot costs: time, processor, memory, disk; of several images side by side
    Bench(commands::bench::Args),
    /// Look at this machine: what would keep a cluster from working, and what to do about it
    Doctor(commands::doctor::Args),
    /// Print the settings in effect and where each comes from
    Settings(commands::settings::Args),
    /// Print a completion script for a shell
    Completions(commands::completions::Args),
    /// Install, start or stop a container engine (for CI machines)
    #[command(hide = true)]
    Engine(commands::engine::Args),
}

/// Which settings a subcommand has flags for.
pub trait Subset: std::fmt::Debug + Clone + Send + Sync + 'static {
    /// They.
    const KEYS: &'static [Key];
    /// Whether it makes an image, which makes `--image` also `-t`, as image builders have it.
    const MAKES_IMAGE: bool = false;
}

/// All settings.
#[derive(Debug, Clone)]
pub struct All;

impl Subset for All {
    const KEYS: &'static [Key] = &[
        Key::Name,
        Key::Image,
        Key::KubernetesVersion,
        Key::StaticIp,
        Key::PodSubnet,
        Key::ServiceSubnet,
        Key::CertSans,
        Key::CertValidity,
        Key::EtcdSync,
        Key::ApiPort,
        Key::HttpPort,
        Key::DockerPort,
        Key::DockerTlsPort,
        Key::ExtraPorts,
        Key::TokenFile,
        Key::Network,
        Key::RegistriesFile,
        Key::ExtraCaCerts,
        Key::Cpus,
        Key::Memory,
        Key::ImagesDir,
        Key::HooksDir,
        Key::HookTimeout,
        Key::HookFailure,
        Key::PackedLayers,
        Key::Addons,
        Key::BaseImage,
        Key::GoProxy,
        Key::ReadyTimeout,
        Key::Kubeconfig,
    ];
}

/// Settings that make an image what it is.
#[derive(Debug, Clone)]
pub struct Baking;

impl Subset for Baking {
    const KEYS: &'static [Key] = &[
        Key::Image,
        Key::KubernetesVersion,
        Key::StaticIp,
        Key::PodSubnet,
        Key::ServiceSubnet,
        Key::CertSans,
        Key::EtcdSync,
        Key::Network,
        Key::ExtraCaCerts,
        Key::ImagesDir,
        Key::HooksDir,
        Key::HookTimeout,
        Key::HookFailure,
        Key::PackedLayers,
        Key::Addons,
        Key::BaseImage,
        Key::GoProxy,
    ];
    const MAKES_IMAGE: bool = true;
}

/// Settings that say what is run, and for how long it is waited for.
#[derive(Debug, Clone)]
pub struct Benching;

impl Subset for Benching {
    const KEYS: &'static [Key] = &[Key::KubernetesVersion, Key::Network, Key::ReadyTimeout];
}

/// Settings that name a cluster.
#[derive(Debug, Clone)]
pub struct Naming;

impl Subset for Naming {
    const KEYS: &'static [Key] = &[Key::Name, Key::Kubeconfig];
}

/// The flags of a subset of the settings, made from their table so that the two cannot differ. They are kept as they
/// were typed: what is wrong with them is told together with what is wrong elsewhere.
#[derive(Debug, Clone)]
pub struct SettingFlags<S> {
    /// What was typed.
    pub entries: Vec<Entry>,
    subset: PhantomData<S>,
}

impl<S: Subset> Args for SettingFlags<S> {
    fn augment_args(command: clap::Command) -> clap::Command {
        S::KEYS.iter().fold(command, |command, key| {
            let row = key.row();
            let long = row.flag.trim_start_matches("--");
            let list = row.shape == Shape::List;
            let mut arg = Arg::new(long)
                .long(long)
                .value_name(placeholder(*key))
                .help(format!("{} [default: {}]", capitalised(row.about), row.default))
                .help_heading("Settings")
                .allow_hyphen_values(false)
                .action(if list { ArgAction::Append } else { ArgAction::Set });
            if *key == Key::ExtraPorts {
                arg = arg.short('p');
            }
            if *key == Key::Image && S::MAKES_IMAGE {
                arg = arg.short('t').visible_alias("tag");
            }
            command.arg(arg)
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<S: Subset> FromArgMatches for SettingFlags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut entries = Vec::new();
        for row in TABLE.iter().filter(|row| S::KEYS.contains(&row.key)) {
            let id = row.flag.trim_start_matches("--");
            let Some(values) = matches.try_get_many::<String>(id).ok().flatten() else { continue };
            let values: Vec<String> = values.cloned().collect();
            let value = match (row.shape, values.as_slice()) {
                (Shape::List, _) => Value::Many(values),
                (_, [.., last]) => Value::One(last.clone()),
                (_, []) => continue,
            };
            entries.push(Entry { key: row.key, value, origin: Origin::Flag(row.flag) });
        }
        Ok(Self { entries, subset: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn placeholder(key: Key) -> &'static str {
    match key {
        Key::Name | Key::Network | Key::Addons => "NAME",
        Key::Image | Key::BaseImage => "IMAGE",
        Key::KubernetesVersion => "VERSION",
        Key::StaticIp => "IP",
        Key::PodSubnet | Key::ServiceSubnet => "CIDR",
        Key::CertSans => "NAME|IP",
        Key::EtcdSync | Key::PackedLayers => "on|off",
        Key::HookFailure => "fail|report",
        Key::ApiPort | Key::HttpPort | Key::DockerPort | Key::DockerTlsPort => "PORT",
        Key::ExtraPorts => "PORTS",
        Key::ImagesDir | Key::HooksDir => "DIR",
        Key::GoProxy => "URL",
        Key::CertValidity | Key::HookTimeout | Key::ReadyTimeout => "DURATION",
        Key::TokenFile | Key::RegistriesFile | Key::ExtraCaCerts | Key::Kubeconfig => "FILE",
        Key::Cpus => "NUMBER",
        Key::Memory => "SIZE",
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
