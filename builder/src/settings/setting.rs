//! What a setting is: its declaration (names in the file, on the command line and in the environment, default and help) and
//! the two functions that read and print its value. Each group of settings declares its own in one list; everything else
//! that names a setting takes it from there. Holds no values and reads nothing.

/// Identifies a setting by its path in the file: one part, or two separated by a dot where it stands in a section
/// (`hostPorts.api`). Each group of settings defines the keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(&'static str);

impl Key {
    pub(super) const fn new(path: &'static str) -> Self {
        Self(path)
    }

    /// The path as messages write it: `hostPorts.api`.
    #[must_use]
    pub(crate) const fn path(self) -> &'static str {
        self.0
    }

    /// The section, where there is one, and the name in it.
    #[must_use]
    pub(crate) fn section_and_name(self) -> (Option<&'static str>, &'static str) {
        self.0.split_once('.').map_or((None, self.0), |(section, name)| (Some(section), name))
    }
}

/// How a setting's value is written in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Scalar,
    /// One path; a relative one in the file is relative to the file.
    Path,
    /// A list of values.
    List,
}

/// Subcommands that take flags for some of the settings. `up` and `settings` take the flags of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subcommand {
    Bake,
    Bench,
    Down,
}

/// All that is known of a setting besides its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration {
    /// Identity and place in the file.
    pub(crate) key: Key,
    /// The flag, with its dashes.
    pub(crate) flag: &'static str,
    /// The one-letter flag.
    pub(crate) short: Option<char>,
    /// The one-letter flag and the long alias that only `bake` has, as image builders have them.
    pub(crate) bake_alias: Option<(char, &'static str)>,
    /// Environment variables; the first that is set counts.
    pub(crate) env: &'static [&'static str],
    /// The value's placeholder in the help text.
    pub(crate) placeholder: &'static str,
    /// The default as help and reference show it.
    pub(crate) default: &'static str,
    /// The purpose, in one line of help.
    pub(crate) about: &'static str,
    /// Subcommands that have the flag besides `up` and `settings`.
    pub(crate) subcommands: &'static [Subcommand],
    /// How the value is written; set by the constructors of [`Setting`].
    pub(crate) shape: Shape,
}

impl Declaration {
    /// What declarations leave out.
    pub(super) const BASE: Self = Self {
        key: Key(""),
        flag: "",
        short: None,
        bake_alias: None,
        env: &[],
        placeholder: "",
        default: "none",
        about: "",
        subcommands: &[],
        shape: Shape::Scalar,
    };
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// A plain value.
    One(String),
    Many(Vec<String>),
}

/// Parses a text and stores its value; the error names the text and says what would be right.
type Store<V> = fn(&mut V, &str) -> Result<(), String>;

/// A setting of the group `V`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<V: 'static> {
    pub(super) declaration: Declaration,
    pub(super) access: Access<V>,
}

/// How a setting's value is read into its group and printed from it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access<V: 'static> {
    /// One value; none prints nothing where there is none.
    One { store: Store<V>, print: fn(&V) -> Option<String> },
    /// A list: `clear` empties it, `add` takes one item.
    List { clear: fn(&mut V), add: Store<V>, print: fn(&V) -> Vec<String> },
}

impl<V> Setting<V> {
    pub(super) const fn one(declaration: Declaration, store: Store<V>, print: fn(&V) -> Option<String>) -> Self {
        let declaration = Declaration { shape: Shape::Scalar, ..declaration };
        Self { declaration, access: Access::One { store, print } }
    }

    pub(super) const fn path(declaration: Declaration, store: Store<V>, print: fn(&V) -> Option<String>) -> Self {
        let declaration = Declaration { shape: Shape::Path, ..declaration };
        Self { declaration, access: Access::One { store, print } }
    }

    pub(super) const fn list(
        declaration: Declaration,
        clear: fn(&mut V),
        add: Store<V>,
        print: fn(&V) -> Vec<String>,
    ) -> Self {
        let declaration = Declaration { shape: Shape::List, ..declaration };
        Self { declaration, access: Access::List { clear, add, print } }
    }

    /// The value as the file would have it; none where there is none, or an empty list.
    pub(super) fn print(&self, values: &V) -> Option<Value> {
        match self.access {
            Access::One { print, .. } => print(values).map(Value::One),
            Access::List { print, .. } => Some(print(values)).filter(|texts| !texts.is_empty()).map(Value::Many),
        }
    }
}

/// Stores what was parsed.
pub(super) fn store<T, U: From<T>>(target: &mut U, parsed: Result<T, String>) -> Result<(), String> {
    *target = parsed?.into();
    Ok(())
}

/// Prints a path as a settings file has it.
pub(super) fn print_path(path: Option<&std::path::PathBuf>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}
