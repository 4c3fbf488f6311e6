//! YAML text to a tree whose nodes know their line. Owns what a settings file may not hold as YAML: several documents,
//! endless repetition, nesting without end, characters that end a line for the parser alone. Knows no setting.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

/// Deepest nesting; a settings file needs three levels.
const DEEPEST: usize = 32;
/// Most nodes after aliases are replaced by what they stand for; a settings file needs about a hundred.
const MOST_NODES: usize = 10_000;

/// A value with the line, from 1, on which it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing, `~` or `null`.
    Empty,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// A value with a tag of the user's own, which no setting has.
    Tagged,
}

/// Why a text is no YAML document of a settings file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Parses a text; none for one without content.
pub(super) fn parse(text: &str) -> Result<Option<Node>, Mistake> {
    if let Some((at, message)) = odd_character(text) {
        return Err(Mistake { line: text[..at].matches('\n').count() + 1, message });
    }
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = (error.marker().line(), error.marker().col() + 1);
            Mistake { line, message: format!("{} (column {column})", error.info()) }
        })?;
        tree.take(event, span)?;
    }
    Ok(tree.root)
}

/// The first character that a settings file may not hold. Some end a line for YAML 1.1 or the parser ("Line Break
/// Characters") and for no editor: no user would find the lines of later messages.
fn odd_character(text: &str) -> Option<(usize, String)> {
    text.char_indices().find_map(|(at, character)| {
        let code = u32::from(character);
        match character {
            '\u{85}' | '\u{2028}' | '\u{2029}' => {}
            '\r' if text[at + 1..].starts_with('\n') => return None,
            '\r' => {}
            '\n' | '\t' => return None,
            _ if character.is_control() => {
                return Some((at, format!("holds the control character U+{code:04X}; leave it out")));
            }
            _ => return None,
        }
        Some((at, format!("holds the character U+{code:04X}, which ends a line for YAML only; leave it out")))
    })
}

/// A list or mapping that is not complete yet.
struct Open {
    line: usize,
    anchor: usize,
    is_tagged: bool,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    /// The pairs, and a key that waits for its value.
    Map(Vec<(Node, Node)>, Option<Node>),
}

#[derive(Default)]
struct Tree {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    documents: usize,
    nodes: usize,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Mistake> {
        let line = span.start.line();
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Mistake {
                        line,
                        message: "begins a second YAML document; a file holds one".to_owned(),
                    });
                }
                Ok(())
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.add(Node { line, ..node }, 0),
                None => Err(Mistake { line, message: "holds an alias for what it stands in".to_owned() }),
            },
            Event::Scalar(text, style, anchor, tag) => {
                let content = match tag {
                    Some(tag) if !tag.is_yaml_core_schema() => Content::Tagged,
                    tag => scalar(&text, style, tag.is_some()),
                };
                self.add(Node { line, content }, anchor)
            }
            Event::SequenceStart(anchor, tag) => self.begin(line, anchor, tag.as_deref(), Items::List(Vec::new())),
            Event::MappingStart(anchor, tag) => self.begin(line, anchor, tag.as_deref(), Items::Map(Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, tag: Option<&Tag>, items: Items) -> Result<(), Mistake> {
        if self.open.len() >= DEEPEST {
            return Err(Mistake { line, message: "is nested too deeply".to_owned() });
        }
        let is_tagged = tag.is_some_and(|tag| !tag.is_yaml_core_schema());
        self.open.push(Open { line, anchor, is_tagged, items });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Mistake> {
        let Some(Open { line, anchor, is_tagged, items }) = self.open.pop() else { return Ok(()) };
        let content = match items {
            _ if is_tagged => Content::Tagged,
            Items::List(nodes) => Content::List(nodes),
            Items::Map(pairs, _) => Content::Map(pairs),
        };
        self.add(Node { line, content }, anchor)
    }

    /// Puts a complete node where it belongs; anchors count from 1.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), Mistake> {
        self.nodes += size(&node);
        if self.nodes > MOST_NODES {
            return Err(Mistake { line: node.line, message: "repeats too much through aliases".to_owned() });
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(nodes)) => nodes.push(node),
            Some(Items::Map(pairs, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => pairs.push((key, node)),
            },
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    match &node.content {
        Content::Empty | Content::Scalar(_) | Content::Tagged => 1,
        Content::List(nodes) => nodes.iter().map(size).sum::<usize>() + 1,
        Content::Map(pairs) => pairs.iter().map(|(key, value)| size(key) + size(value)).sum::<usize>() + 1,
    }
}

/// The content of a scalar: the text as it is written, but for the spellings that YAML's core schema has for nothing, true
/// and false.
fn scalar(text: &str, style: ScalarStyle, is_tagged: bool) -> Content {
    if style == ScalarStyle::Plain && !is_tagged {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => return Content::Empty,
            "True" | "TRUE" | "False" | "FALSE" => return Content::Scalar(text.to_lowercase()),
            _ => {}
        }
    }
    Content::Scalar(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(text: &str) -> (usize, String) {
        let Mistake { line, message } = parse(text).unwrap_err();
        (line, message)
    }

    #[test]
    fn nodes_know_their_lines() {
        let root = parse("# first\nname: x\nhostPorts: {api: 1,\n  extra:\n    [80:80]}\n").unwrap().unwrap();
        let Content::Map(pairs) = root.content else { panic!("{root:?}") };
        assert_eq!(pairs.iter().map(|(key, value)| (key.line, value.line)).collect::<Vec<_>>(), [(2, 2), (3, 3)]);
        let Content::Map(ports) = &pairs[1].1.content else { panic!("{pairs:?}") };
        assert_eq!(ports.iter().map(|(key, value)| (key.line, value.line)).collect::<Vec<_>>(), [(3, 3), (4, 5)]);
    }

    #[test]
    fn scalars_are_texts_as_they_are_written() {
        for (text, content) in [
            ("1.10", Content::Scalar("1.10".to_owned())),
            ("TRUE", Content::Scalar("true".to_owned())),
            ("'null'", Content::Scalar("null".to_owned())),
            ("!!str null", Content::Scalar("null".to_owned())),
            ("~", Content::Empty),
            ("!secret x", Content::Tagged),
        ] {
            assert_eq!(parse(text).unwrap().unwrap().content, content, "{text}");
        }
        assert_eq!(parse("# nothing\n"), Ok(None));
    }

    #[test]
    fn aliases_stand_for_what_they_name_and_not_for_themselves() {
        let root = parse("a: &x [1]\nb: *x\n").unwrap().unwrap();
        let Content::Map(pairs) = root.content else { panic!("{root:?}") };
        assert_eq!((pairs[1].1.line, &pairs[1].1.content), (2, &pairs[0].1.content));
        assert_eq!(mistake("a: &x [*x]\n"), (1, "holds an alias for what it stands in".to_owned()));
    }

    #[test]
    fn lines_that_only_yaml_sees_are_reported() {
        for odd in ["\r", "\u{85}", "\u{2028}", "\u{2029}"] {
            let code = u32::from(odd.chars().next().unwrap());
            let message = format!("holds the character U+{code:04X}, which ends a line for YAML only; leave it out");
            assert_eq!(mistake(&format!("version: 1\r\nname: {odd}a\n")), (2, message));
        }
        assert!(parse("version: 1\r\nname: a\r\n").is_ok());
    }
}
