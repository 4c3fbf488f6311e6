//! The command line as users meet it: help texts, flags, and their agreement with the settings.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use super::*;
use crate::settings::{
    Declaration, Entry, Key, Origin, Settings, Shape, Sources, Subcommand, Value, declarations, reference,
};

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
    assert_eq!(args.settings.entries[0].key, Key::IMAGE);
}

/// The long flags of a subcommand that are settings.
fn setting_flags(subcommand: &str) -> BTreeSet<String> {
    let command = Cli::command();
    let arguments = command.find_subcommand(subcommand).unwrap().get_arguments();
    let settings = arguments.filter(|argument| argument.get_help_heading() == Some("Settings"));
    settings.map(|argument| format!("--{}", argument.get_long().unwrap())).collect()
}

/// A value that the setting takes: the one that it has, else one of a few texts.
fn example(declaration: &Declaration) -> Value {
    let effective = Settings::resolve(&Sources::default()).unwrap().effective();
    let own = effective.into_iter().find(|(known, _)| known.key == declaration.key).unwrap().1;
    own.unwrap_or_else(|| {
        let is_taken = |value: &Value| {
            let entry = Entry { key: declaration.key, value: value.clone(), origin: Origin::Flag(declaration.flag) };
            Settings::resolve(&Sources { flags: vec![entry], ..Sources::default() }).is_ok()
        };
        let texts = ["example", "4g", "2", "8080:80"];
        let values = texts.map(|text| match declaration.shape {
            Shape::List => Value::Many(vec![text.to_owned()]),
            Shape::Scalar | Shape::Path => Value::One(text.to_owned()),
        });
        values.into_iter().find(is_taken).unwrap_or_else(|| panic!("no example for {:?}", declaration.key))
    })
}

#[test]
fn reference_command_line_and_file_agree() {
    let flags = |of: Option<Subcommand>| -> BTreeSet<String> {
        let has = |declaration: &&Declaration| of.is_none_or(|of| declaration.subcommands.contains(&of));
        declarations().into_iter().filter(has).map(|declaration| declaration.flag.to_owned()).collect()
    };
    for (subcommand, of) in [
        ("up", None),
        ("settings", None),
        ("bake", Some(Subcommand::Bake)),
        ("bench", Some(Subcommand::Bench)),
        ("down", Some(Subcommand::Down)),
    ] {
        assert_eq!(setting_flags(subcommand), flags(of), "{subcommand}");
    }
    let reference = reference();
    let rows: Vec<&str> = reference.lines().skip(2).collect();
    assert_eq!(rows.len(), declarations().len());
    let mut names = BTreeSet::new();
    for (row, declaration) in rows.iter().zip(declarations()) {
        let Declaration { key, flag, env, about, default, placeholder, .. } = *declaration;
        assert!(row.starts_with(&format!("| `{}` | `{flag}` |", key.path())), "{row}");
        assert!(env.iter().all(|name| row.contains(&format!("`{name}`"))) && row.contains(about), "{row}");
        assert!(!env.is_empty() && !about.is_empty() && !default.is_empty() && !placeholder.is_empty(), "{row}");
        assert!([key.path(), flag].iter().chain(env).all(|name| names.insert(*name)), "{row}");

        // The three ways lead to the same value.
        let value = example(declaration);
        let (yaml, text) = match &value {
            Value::One(text) => (serde_json::Value::from(text.as_str()), text.clone()),
            Value::Many(texts) => (serde_json::Value::from(texts.clone()), texts.join(",")),
        };
        let yaml = match key.section_and_name() {
            (Some(section), name) => format!("version: 1\n{section}:\n  {name}: {yaml}\n"),
            (None, name) => format!("version: 1\n{name}: {yaml}\n"),
        };
        let file = Sources { file: Some((PathBuf::from("kubake.yaml"), yaml)), ..Sources::default() };
        let env = Sources { env: [(env[0].to_owned(), text.clone())].into(), ..Sources::default() };
        let Command::Up(up) = Cli::try_parse_from(["kubake", "up", flag, &text]).unwrap().command else { panic!() };
        let flags = Sources { flags: up.settings.entries, ..Sources::default() };
        for sources in [file, env, flags] {
            let settings = Settings::resolve(&sources).unwrap();
            assert_ne!(settings.origin(key), &Origin::Default, "{sources:?}");
            let effective = settings.effective().into_iter().find(|(known, _)| known.key == key);
            assert_eq!(effective.unwrap().1.as_ref(), Some(&value), "{sources:?}");
        }
    }
}
