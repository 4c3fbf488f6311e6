//! The settings file, version 1: a YAML tree to a list of values with the lines they stand on. Pure: the caller reads the
//! file.
//!
//! The text is read as a tree and not straight into a struct because all mistakes are reported at once, each with its line:
//! a derived deserializer stops at the first.

use std::path::Path;

use super::entry::{Entry, Origin};
use super::error::Problem;
use super::setting::{Declaration, Shape, Value};
use super::yaml::{self, Content, Node};

/// The most that a key may differ from a setting's for a message to suggest that setting.
const NEAR: usize = 3;

/// The values of a file, and everything that is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) entries: Vec<Entry>,
    pub(super) problems: Vec<Problem>,
}

/// Parses a settings file's text; `path` is for messages and for relative paths in it.
pub(super) fn parse(text: &str, path: &Path, declarations: &[&'static Declaration]) -> Parsed {
    let mut file = File { path, declarations, parsed: Parsed::default() };
    match yaml::parse(text) {
        Err(mistake) => file.problem(Some(mistake.line), "", &mistake.message),
        Ok(None) => {}
        Ok(Some(root)) => match &root.content {
            Content::Empty => {}
            Content::Map(pairs) => file.top(pairs),
            _ => file.problem(Some(root.line), "", "must be `key: value` lines"),
        },
    }
    file.parsed
}

struct File<'a> {
    path: &'a Path,
    declarations: &'a [&'static Declaration],
    parsed: Parsed,
}

impl File<'_> {
    fn top(&mut self, pairs: &[(Node, Node)]) {
        match pairs.iter().find(|(key, _)| text(key) == Some("version")) {
            Some((_, value)) if text(value) == Some("1") => {}
            Some((key, _)) => self.problem(Some(key.line), "version", "only version 1 is known; write `version: 1`"),
            None => self.problem(None, "version", "is missing; begin the file with `version: 1`"),
        }
        for (key, name, value) in self.named(None, pairs) {
            if name == "version" {
                continue;
            }
            if let Some(declaration) = self.declared(None, name) {
                self.value(declaration, key, value);
            } else if self.declarations.iter().any(|known| known.key.section_and_name().0 == Some(name)) {
                self.section(name, value, key.line);
            } else {
                self.unknown(name, key.line);
            }
        }
    }

    fn section(&mut self, section: &str, value: &Node, line: usize) {
        let pairs = match &value.content {
            Content::Empty => return,
            Content::Map(pairs) => pairs,
            _ => return self.problem(Some(line), section, "must hold `key: value` lines"),
        };
        for (key, name, value) in self.named(Some(section), pairs) {
            match self.declared(Some(section), name) {
                Some(declaration) => self.value(declaration, key, value),
                None => self.unknown(&format!("{section}.{name}"), key.line),
            }
        }
    }

    /// The pairs whose key is a name that stands for the first time; the others are problems.
    fn named<'n>(&mut self, section: Option<&str>, pairs: &'n [(Node, Node)]) -> Vec<(&'n Node, &'n str, &'n Node)> {
        let mut named: Vec<(&Node, &str, &Node)> = Vec::new();
        for (key, value) in pairs {
            let Some(name) = text(key) else {
                let message = "holds a key that is not the name of a setting";
                self.problem(Some(key.line), section.unwrap_or_default(), message);
                continue;
            };
            match named.iter().find(|(_, other, _)| *other == name) {
                Some((first, ..)) => {
                    let dotted = section.map_or_else(|| name.to_owned(), |section| format!("{section}.{name}"));
                    self.problem(Some(key.line), &dotted, &format!("is set on line {} already", first.line));
                }
                None => named.push((key, name, value)),
            }
        }
        named
    }

    fn declared(&self, section: Option<&str>, name: &str) -> Option<&'static Declaration> {
        self.declarations.iter().find(|known| known.key.section_and_name() == (section, name)).copied()
    }

    fn value(&mut self, declaration: &Declaration, key: &Node, value: &Node) {
        let (line, path) = (Some(key.line), declaration.key.path());
        let value = match (declaration.shape, &value.content) {
            // A key without a value is as good as none: it is what remains when a list is commented out.
            (_, Content::Empty) => return,
            (Shape::List, Content::List(items)) => {
                let texts: Vec<String> = items.iter().filter_map(text).map(str::to_owned).collect();
                if texts.len() != items.len() {
                    return self.problem(line, path, "must be a list of plain values");
                }
                Value::Many(texts)
            }
            (Shape::List, _) => return self.problem(line, path, "must be a list"),
            (Shape::Path, Content::Scalar(text)) => {
                let base = self.path.parent().unwrap_or(Path::new(""));
                Value::One(base.join(text).to_string_lossy().into_owned())
            }
            (Shape::Scalar, Content::Scalar(text)) => Value::One(text.clone()),
            _ => return self.problem(line, path, "must be one plain value"),
        };
        let origin = Origin::File { path: self.path.to_owned(), line, key: path.to_owned() };
        self.parsed.entries.push(Entry { key: declaration.key, value, origin });
    }

    fn unknown(&mut self, dotted: &str, line: usize) {
        let distance = |known: &str| strsim::levenshtein(&known.to_lowercase(), &dotted.to_lowercase());
        let near = self.declarations.iter().map(|known| known.key.path()).min_by_key(|known| distance(known));
        let meant = near
            .filter(|known| distance(known) <= NEAR)
            .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        self.problem(Some(line), dotted, &format!("is not a setting{meant}"));
    }

    fn problem(&mut self, line: Option<usize>, key: &str, message: &str) {
        let origin = Origin::File { path: self.path.to_owned(), line, key: key.to_owned() };
        self.parsed.problems.push(Problem { origin, message: message.to_owned() });
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.content {
        Content::Scalar(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::declarations;

    /// Whether the user knows where to look: the line, the key, or that the file is empty.
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
        let mut reported = Vec::new();
        for entry in std::fs::read_dir(corpus).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap();
            for problem in parse(&text, Path::new(name), &declarations()).problems {
                assert!(is_placed(&problem, &text), "{problem}");
                reported.push(problem.to_string());
            }
        }
        reported.sort();
        insta::assert_snapshot!(reported.join("\n"));
    }
}
