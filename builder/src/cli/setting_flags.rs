//! The flags that are settings, made from the table of settings so that the two cannot differ. Keeps values as they were
//! typed; the settings room parses them together with those from the file and the environment.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use crate::settings::{Entry, Key, Origin, Shape, TABLE, Value};

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
