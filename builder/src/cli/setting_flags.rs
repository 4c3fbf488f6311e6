//! The flags that are settings, made from the declarations of the settings so that the two cannot differ. Keeps values as
//! they were typed; the settings room parses them together with those from the file and the environment.

use std::fmt::Debug;
use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use crate::settings::{Declaration, Entry, Origin, Shape, Subcommand, Value, declarations};

/// The settings that a subcommand has flags for.
pub(crate) trait Subset: Debug + Clone + Send + Sync + 'static {
    /// The subcommand as the declarations name it; none has the flags of all settings.
    const SUBCOMMAND: Option<Subcommand>;
}

/// All settings, for `up` and `settings`.
#[derive(Debug, Clone)]
pub(crate) struct All;

impl Subset for All {
    const SUBCOMMAND: Option<Subcommand> = None;
}

/// Settings that determine the content of an image.
#[derive(Debug, Clone)]
pub(crate) struct Baking;

impl Subset for Baking {
    const SUBCOMMAND: Option<Subcommand> = Some(Subcommand::Bake);
}

/// Settings for the clusters of a measurement.
#[derive(Debug, Clone)]
pub(crate) struct Benching;

impl Subset for Benching {
    const SUBCOMMAND: Option<Subcommand> = Some(Subcommand::Bench);
}

/// Settings that name a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Naming;

impl Subset for Naming {
    const SUBCOMMAND: Option<Subcommand> = Some(Subcommand::Down);
}

fn declared_for<S: Subset>() -> impl Iterator<Item = &'static Declaration> {
    let has_flag = |declaration: &&Declaration| match &S::SUBCOMMAND {
        Some(subcommand) => declaration.subcommands.contains(subcommand),
        None => true,
    };
    declarations().into_iter().filter(has_flag)
}

fn long(declaration: &Declaration) -> &'static str {
    declaration.flag.trim_start_matches("--")
}

/// The flags of a subset of the settings, as they were typed: mistakes in them are reported together with those in the
/// file and the environment.
#[derive(Debug, Clone)]
pub(crate) struct SettingFlags<S> {
    /// A value for each setting whose flag was given.
    pub(crate) entries: Vec<Entry>,
    subset: PhantomData<S>,
}

impl<S: Subset> Args for SettingFlags<S> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let makes_image = S::SUBCOMMAND == Some(Subcommand::Bake);
        declared_for::<S>().fold(command, |command, declaration| {
            let is_list = declaration.shape == Shape::List;
            let mut arg = Arg::new(long(declaration))
                .long(long(declaration))
                .value_name(declaration.placeholder)
                .help(format!("{} [default: {}]", capitalised(declaration.about), declaration.default))
                .help_heading("Settings")
                .allow_hyphen_values(false)
                .action(if is_list { ArgAction::Append } else { ArgAction::Set });
            if let Some(letter) = declaration.short {
                arg = arg.short(letter);
            }
            if let Some((letter, alias)) = declaration.bake_alias.filter(|_| makes_image) {
                arg = arg.short(letter).visible_alias(alias);
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
        let entry = |declaration: &'static Declaration| {
            let values = matches.try_get_many::<String>(long(declaration)).ok().flatten()?;
            let mut values: Vec<String> = values.cloned().collect();
            let value = match declaration.shape {
                Shape::List => Value::Many(values),
                Shape::Scalar | Shape::Path => Value::One(values.pop()?),
            };
            Some(Entry { key: declaration.key, value, origin: Origin::Flag(declaration.flag) })
        };
        Ok(Self { entries: declared_for::<S>().filter_map(entry).collect(), subset: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
