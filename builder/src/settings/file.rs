//! The settings file, version 1: YAML text to a list of values with the lines they stand on. Pure; reading the file is
//! the caller's business.
//!
//! The text is read as a tree and not straight into a struct because all mistakes are to be told at once, each with
//! its line: a derived deserializer stops at the first.

use std::path::Path;

use serde_yaml::Value as Yaml;

use super::entry::{Entry, Origin};
use super::error::Problem;
use super::setting::{Declaration, Shape, Value};

/// What a file holds: values, and everything that is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

/// Reads a settings file's text; `path` is for messages and for relative paths in it.
pub(super) fn parse(text: &str, path: &Path, declarations: &[&'static Declaration]) -> Parsed {
    let mut file = File { text, path, declarations, parsed: Parsed::default() };
    if let Some((at, character)) = odd_break(text) {
        let line = text[..at].matches('\n').count() + 1;
        let code = u32::from(character);
        let message = format!("holds the character U+{code:04X}, which ends a line for YAML only; leave it out");
        file.problem(Some(line), "", &message);
        return file.parsed;
    }
    match serde_yaml::from_str::<Yaml>(text) {
        Err(error) => file.broken(&error),
        Ok(Yaml::Null) => {}
        Ok(Yaml::Mapping(mapping)) => file.top(&mapping),
        Ok(_) => file.problem(None, "", "must be `key: value` lines"),
    }
    file.parsed
}

/// The first character that ends a line for the parser (YAML 1.1, "Line Break Characters") and for no editor: whatever the
/// parser then says of lines, nobody would find.
fn odd_break(text: &str) -> Option<(usize, char)> {
    text.char_indices().find(|(at, character)| match character {
        '\u{85}' | '\u{2028}' | '\u{2029}' => true,
        '\r' => !text[at + 1..].starts_with('\n'),
        _ => false,
    })
}

struct File<'a> {
    text: &'a str,
    path: &'a Path,
    declarations: &'a [&'static Declaration],
    parsed: Parsed,
}

impl File<'_> {
    fn broken(&mut self, error: &serde_yaml::Error) {
        let message = error.to_string();
        // The parser's position for a key that stands twice is that of its section; the text says more.
        if message.contains("duplicate entry") {
            let line = self.duplicate_line().or_else(|| error.location().map(|location| location.line()));
            return self.problem(line, "", &message);
        }
        let line = error.location().map(|location| location.line());
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message).to_owned();
        let column = error.location().map_or_else(String::new, |location| format!(" (column {})", location.column()));
        self.problem(line, "", &format!("{message}{column}"));
    }

    fn top(&mut self, mapping: &serde_yaml::Mapping) {
        match mapping.get("version") {
            Some(Yaml::Number(number)) if number.as_u64() == Some(1) => {}
            Some(_) => {
                self.problem(line_of(self.text, &["version"]), "version", "only version 1 is known; write `version: 1`")
            }
            None => self.problem(None, "version", "is missing; begin the file with `version: 1`"),
        }
        for (key, value) in mapping {
            let Some(name) = key.as_str() else {
                match scalar(key) {
                    Some(text) => self.unknown(&[&text]),
                    None => self.problem(None, "", "holds a key that is not the name of a setting"),
                }
                continue;
            };
            if name == "version" {
                continue;
            }
            if let Some(declaration) = self.declared(None, name) {
                self.value(declaration, value);
            } else if self.declarations.iter().any(|known| known.key.section_and_name().0 == Some(name)) {
                self.section(name, value);
            } else {
                self.unknown(&[name]);
            }
        }
    }

    fn declared(&self, section: Option<&str>, name: &str) -> Option<&'static Declaration> {
        self.declarations.iter().find(|known| known.key.section_and_name() == (section, name)).copied()
    }

    fn section(&mut self, section: &str, value: &Yaml) {
        let mapping = match value {
            Yaml::Null => return,
            Yaml::Mapping(mapping) => mapping,
            _ => return self.problem(line_of(self.text, &[section]), section, "must hold `key: value` lines"),
        };
        for (key, value) in mapping {
            let Some(name) = scalar(key) else {
                let line = line_of(self.text, &[section]);
                self.problem(line, section, "holds a key that is not the name of a setting");
                continue;
            };
            match self.declared(Some(section), &name) {
                Some(declaration) => self.value(declaration, value),
                None => self.unknown(&[section, &name]),
            }
        }
    }

    fn value(&mut self, declaration: &Declaration, value: &Yaml) {
        let key = declaration.key.path();
        let line = line_of(self.text, &key.split('.').collect::<Vec<_>>());
        let value = match (declaration.shape, value) {
            // A key without a value is as good as none: it is what remains when somebody comments a list out.
            (_, Yaml::Null) => return,
            (Shape::List, Yaml::Sequence(items)) => {
                let texts: Vec<String> = items.iter().filter_map(scalar).collect();
                if texts.len() != items.len() {
                    return self.problem(line, key, "must be a list of plain values");
                }
                Value::Many(texts)
            }
            (Shape::List, _) => return self.problem(line, key, "must be a list"),
            (shape, other) => match scalar(other) {
                Some(text) if shape == Shape::Path => {
                    let base = self.path.parent().unwrap_or(Path::new(""));
                    Value::One(base.join(text).to_string_lossy().into_owned())
                }
                Some(text) => Value::One(text),
                None => return self.problem(line, key, "must be one plain value"),
            },
        };
        let origin = Origin::File { path: self.path.to_owned(), line, key: key.to_owned() };
        self.parsed.entries.push(Entry { key: declaration.key, value, origin });
    }

    fn unknown(&mut self, path: &[&str]) {
        let dotted = path.join(".");
        let known = self.declarations.iter().map(|known| known.key.path());
        let near = known.min_by_key(|known| distance(known, &dotted));
        let meant = near
            .filter(|known| distance(known, &dotted) <= 3)
            .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        self.problem(line_of(self.text, path), &dotted, &format!("is not a setting{meant}"));
    }

    fn problem(&mut self, line: Option<usize>, key: &str, message: &str) {
        // Some are told without a place by the parser, and some keys are empty: nobody is to search the whole file.
        let line = if key.is_empty() { line.or_else(|| self.first_line()) } else { line };
        let origin = Origin::File { path: self.path.to_owned(), line, key: key.to_owned() };
        self.parsed.problems.push(Problem { origin, message: message.to_owned() });
    }

    /// Where the content begins: the place of what is wrong with the whole. None in an empty file.
    fn first_line(&self) -> Option<usize> {
        let content = |line: &str| !matches!(line.trim_start().bytes().next(), None | Some(b'#'));
        self.text.lines().position(content).map(|index| index + 1)
    }

    fn duplicate_line(&self) -> Option<usize> {
        let mut seen = Vec::new();
        let mut section = String::new();
        for (index, line) in self.text.lines().enumerate() {
            let Some(key) = key_of(line) else { continue };
            let full = if line.starts_with(' ') { format!("{section}.{key}") } else { key.to_owned() };
            if !line.starts_with(' ') {
                key.clone_into(&mut section);
            }
            if seen.contains(&full) {
                return Some(index + 1);
            }
            seen.push(full);
        }
        None
    }
}

/// The line (from 1) on which a key stands, where the file is written in block style as everybody writes it.
fn line_of(text: &str, path: &[&str]) -> Option<usize> {
    let mut section = "";
    for (index, line) in text.lines().enumerate() {
        let Some(key) = key_of(line) else { continue };
        let nested = line.starts_with(' ');
        if !nested {
            section = key;
        }
        let found = match path {
            [only] => !nested && key == *only,
            [first, second] => nested && section == *first && key == *second,
            _ => false,
        };
        if found {
            return Some(index + 1);
        }
    }
    None
}

fn key_of(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let (key, rest) = line.split_once(':')?;
    let key = key.trim_matches(['"', '\'']);
    let plain = !key.is_empty() && !key.starts_with(['#', '-']) && !key.contains(' ');
    (plain && (rest.is_empty() || rest.starts_with(' '))).then_some(key)
}

fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) => Some(text.clone()),
        Yaml::Number(number) => Some(number.to_string()),
        Yaml::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Edit distance, for "did you mean".
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.to_lowercase().chars().enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (b, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = *cell;
            last = substituted.min(last + 1).min(*cell + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::declarations;

    /// Where somebody has to look: the line, the key, or that the file is empty.
    fn is_placed(problem: &Problem, text: &str) -> bool {
        let blank = text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
        matches!(&problem.origin, Origin::File { line, key, .. } if line.is_some() || !key.is_empty() || blank)
    }

    fn yaml_like() -> impl Strategy<Value = String> {
        let keys: Vec<String> = declarations()
            .iter()
            .flat_map(|known| known.key.path().split('.'))
            .chain(["version"])
            .map(str::to_owned)
            .collect();
        let key = prop_oneof![4 => prop::sample::select(keys), 1 => "[a-zA-Z0-9?~*&!'\"-]{0,8}"];
        let value = prop_oneof![
            Just(String::new()),
            Just("1".to_owned()),
            "[-a-z0-9.:/]{1,12}",
            "[\\[\\]{},&*!|>'\"#%@` a-z0-9:-]{0,16}",
            "\\PC{0,12}",
        ];
        let indent = prop_oneof![4 => Just(""), 2 => Just("  "), 1 => Just("\t"), 1 => Just("- "), 1 => Just("  - "), 1 => Just("? ")];
        let separator = prop_oneof![6 => Just(": "), 1 => Just(":"), 1 => Just(" "), 1 => Just(":\n    ")];
        let line = (indent, key, separator, value)
            .prop_map(|(indent, key, separator, value)| format!("{indent}{key}{separator}{value}\n"));
        let lines = prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat());
        prop_oneof![3 => lines.clone(), 3 => lines.prop_map(|text| format!("version: 1\n{text}")), 1 => "(\\PC|\n){0,60}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_file_holds_its_problems_have_a_place(text in yaml_like()) {
            let parsed = parse(&text, Path::new("dir/kubake.yaml"), &declarations());
            for problem in &parsed.problems {
                prop_assert!(is_placed(problem, &text), "{problem}");
                if let Origin::File { line: Some(line), .. } = problem.origin {
                    prop_assert!((1..=text.lines().count() + 1).contains(&line), "{problem}");
                }
            }
            for entry in &parsed.entries {
                let is_placed = matches!(&entry.origin, Origin::File { key, .. } if !key.is_empty());
                prop_assert!(is_placed, "{entry:?}");
            }
        }
    }

    /// Files that were thought of or found by the test above.
    #[test]
    fn the_corpus_has_a_place_for_every_problem() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/settings");
        let mut told = Vec::new();
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap();
            for problem in parse(&text, Path::new(name), &declarations()).problems {
                assert!(is_placed(&problem, &text), "{problem}");
                told.push(problem.to_string());
            }
        }
        told.sort();
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn lines_that_only_yaml_sees_are_told() {
        for odd in ["\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            let parsed = parse(&format!("version: 1\r\nname: {odd}a\n"), Path::new("kubake.yaml"), &declarations());
            let told: Vec<String> = parsed.problems.iter().map(ToString::to_string).collect();
            let code = u32::from(odd.chars().next().unwrap());
            let message = "which ends a line for YAML only; leave it out";
            assert_eq!(told, [format!("kubake.yaml:2: holds the character U+{code:04X}, {message}")]);
        }
        assert_eq!(parse("version: 1\r\nname: a\r\n", Path::new("kubake.yaml"), &declarations()).problems, []);
    }

    #[test]
    fn edit_distance() {
        for (left, right, expected) in
            [("", "abc", 3), ("kitten", "sitting", 3), ("podSubnet", "podSubnett", 1), ("a", "A", 0)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn keys_are_found_where_people_write_them() {
        let text = "version: 1\n# name: no\nhostPorts:\n  api: 1\n  extra:\n    - 80:80\nname: x\n";
        assert_eq!(line_of(text, &["name"]), Some(7));
        assert_eq!(line_of(text, &["hostPorts", "api"]), Some(4));
        assert_eq!(line_of(text, &["hostPorts", "extra"]), Some(5));
        assert_eq!(line_of(text, &["api"]), None);
    }
}
